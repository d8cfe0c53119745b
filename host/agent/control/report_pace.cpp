#include "host/agent/control/report_pace.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include <boost/json.hpp>

#include "base/json.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

constexpr milliseconds kLeast{1'000};
// What an answer may ask for: a figure gone wrong must not silence a node.
constexpr milliseconds kIntervalMost{5 * 60'000};
// The mesh says everything again every 15 s; one that does not is gone.
constexpr milliseconds kOld{60'000};

void grow(json::object& link, const char* member, std::int64_t by) {
  if (json::value* age = link.if_contains(member); age != nullptr && age->is_int64()) {
    age->get_int64() += by;
  }
}

}  // namespace

std::string report_gist(const json::object& report) {
  std::map<std::string, std::string> links;
  if (const auto list = json_array(report, "links")) {
    for (const json::value& item : **list) {
      if (!item.is_object()) continue;
      const json::object& link = item.get_object();
      links[json_string_or_none(link, "peer").value_or("")] =
          json_string_or_none(link, "state").value_or("");
    }
  }
  std::string out;
  for (const char* member : {"boot_id", "endpoints", "attached", "draining"}) {
    const json::value* value = report.if_contains(member);
    out += (value == nullptr ? "" : json::serialize(*value)) + "\n";
  }
  for (const auto& [peer, state] : links) out += peer + " " + state + "\n";
  return out;
}

void ReportPace::came(json::object report, Time now) {
  std::string gist = report_gist(report);
  waiting_ = Waiting{std::move(report), std::move(gist), now};
}

std::optional<ReportPace::Time> ReportPace::due(Time now) {
  if (waiting_ && now - waiting_->came > kOld) waiting_.reset();
  if (!waiting_) return std::nullopt;
  const Time at = last_ == Time{} ? now : last_ + (waiting_->gist == gist_ ? interval_ : kLeast);
  return std::max(at, not_before_);
}

json::object ReportPace::take(Time now) {
  sending_ = std::exchange(waiting_, std::nullopt);
  json::object out = sending_->report;
  const auto waited = std::chrono::duration_cast<milliseconds>(now - sending_->came).count();
  json::value* links = out.if_contains("links");
  if (links == nullptr || !links->is_array()) return out;
  for (json::value& item : links->get_array()) {
    if (!item.is_object()) continue;
    grow(item.get_object(), "for_ms", waited);
    grow(item.get_object(), "age_ms", waited);
  }
  return out;
}

void ReportPace::sent(Time now, milliseconds interval) {
  interval_ = std::clamp(interval, kLeast, kIntervalMost);
  gist_ = std::move(sending_->gist);
  sending_.reset();
  last_ = now;
  not_before_ = {};
  backoff_.reset();
}

void ReportPace::failed(Time now, std::uint64_t random) {
  if (!waiting_) waiting_ = std::move(sending_);
  sending_.reset();
  // Whatever the control plane knows now, it is to be told.
  gist_.clear();
  not_before_ = now + backoff_.next(random);
}

}  // namespace rap::agent
