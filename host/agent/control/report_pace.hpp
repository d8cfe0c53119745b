// When the mesh's report is due (docs/contracts/mesh-control.md): at once when it says something
// else than the last that was taken, but once a second at most; otherwise at the interval that the
// control plane asks for. Pure: time comes from the caller.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include <boost/json/object.hpp>

#include "host/agent/supervise/backoff.hpp"

namespace rap::agent {

class ReportPace {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // The newest counts.
  void came(boost::json::object report, Time now);
  // When the one that waits is due; nothing: none waits, or it is too old to say anything.
  std::optional<Time> due(Time now);
  // The one that waits, with its ages as they are now. It is being sent.
  boost::json::object take(Time now);
  // How that went. `interval`: what the answer asks for.
  void sent(Time now, std::chrono::milliseconds interval);
  // It is tried again, unless there is a newer one by then.
  void failed(Time now, std::uint64_t random);

 private:
  struct Waiting {
    boost::json::object report;
    std::string gist;
    Time came;
  };
  std::optional<Waiting> waiting_, sending_;
  std::string gist_;  // of the last that was taken
  Time last_{}, not_before_{};
  std::chrono::milliseconds interval_{15'000};
  Backoff backoff_{std::chrono::seconds(1), std::chrono::seconds(60)};
};

// What of a report makes it another one: all but figures and ages.
std::string report_gist(const boost::json::object& report);

}  // namespace rap::agent
