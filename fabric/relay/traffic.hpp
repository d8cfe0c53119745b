// What each organization may use of an entry node or a relay: streams and bytes per second.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "fabric/relay/token_bucket.hpp"

namespace rap::fabric {

struct TrafficLimits {
  // Open at once: some hundred people with several streams each; a stream that nobody reads holds
  // up to two windows, so this is 256 MiB at the very most.
  std::size_t streams_max = 512;
  // Both directions together; 0: no limit. Policy sets it.
  std::uint64_t bytes_per_s = 0;
  // After a pause so much goes at full speed: a screen that is drawn anew.
  std::uint64_t burst_bytes = 4 * 1024 * 1024;
};

struct TrafficCounts {
  std::uint64_t streams = 0;  // opened so far
  std::uint64_t streams_refused = 0;
  std::uint64_t bytes = 0;
  std::uint64_t pauses = 0;  // how often a sender had to wait for its rate
  std::size_t open = 0;
};

// One executor. Organizations that are not known have the limits given at construction.
class Traffic {
 public:
  struct Organization;
  // A place among the streams of an organization, given back at its end.
  class Slot {
   public:
    explicit Slot(std::shared_ptr<Organization> organization);
    Slot(Slot&& other) noexcept = default;
    Slot& operator=(Slot&& other) noexcept;
    ~Slot();
    // Bytes that go on now: how long until their sender may send as many again.
    std::chrono::nanoseconds charge(std::uint64_t bytes, TokenBucket::TimePoint now) const;

   private:
    std::shared_ptr<Organization> organization_;  // shared with the table and other slots
  };

  explicit Traffic(TrafficLimits otherwise = {});

  // Applies to open streams too.
  void set_limits(const std::string& organization, TrafficLimits limits,
                  TokenBucket::TimePoint now);
  // nullopt: the organization has as many as it may.
  std::optional<Slot> open(const std::string& organization, TokenBucket::TimePoint now);

  TrafficCounts counts(const std::string& organization) const;
  const std::map<std::string, std::shared_ptr<Organization>, std::less<>>& all() const {
    return organizations_;
  }

 private:
  std::shared_ptr<Organization> find(const std::string& organization, TokenBucket::TimePoint now);

  TrafficLimits otherwise_;
  std::map<std::string, std::shared_ptr<Organization>, std::less<>> organizations_;
};

}  // namespace rap::fabric
