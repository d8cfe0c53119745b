#include "host/agent/run/node_events.hpp"

#include <boost/json.hpp>

#include "base/clock.hpp"
#include "base/crypto.hpp"
#include "base/log.hpp"

namespace rap::agent {
namespace {

constexpr std::chrono::minutes kQuiet{10};
// Subjects come from what is assigned: tens. The bound only holds what nobody foresaw.
constexpr std::size_t kSubjectsMax = 1000;
constexpr std::size_t kSubjectBytes = 200, kDetailBytes = 1000;  // the control plane's own limits

}  // namespace

std::string_view name(NodeEventKind kind) {
  constexpr std::string_view kNames[] = {"artifact_refused", "metadata_refused",
                                         "workload_failed",  "workload_recovered",
                                         "sandbox_degraded", "clock_wrong"};
  return kNames[static_cast<std::size_t>(kind)];
}

bool EventLimiter::allow(NodeEventKind kind, const std::string& subject, Time now) {
  std::erase_if(last_, [&](const auto& entry) { return now - entry.second >= kQuiet; });
  if (last_.size() >= kSubjectsMax) return false;
  return last_.try_emplace({kind, subject}, now).second;
}

std::string event_text(std::string_view text, std::size_t most) {
  if (text.size() > most) {
    while (most > 0 && (static_cast<std::uint8_t>(text[most]) & 0xc0) == 0x80) --most;
    text = text.substr(0, most);
  }
  std::string out(text);
  for (char& c : out) {
    if (static_cast<std::uint8_t>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return out;
}

bool is_refusal(Errc code) {
  switch (code) {
    case Errc::bad_signature:
    case Errc::rollback:
    case Errc::expired:
    case Errc::mismatch:
    case Errc::malformed:
    case Errc::invalid:
    case Errc::too_large:
    case Errc::forbidden:
      return true;
    default:
      return false;
  }
}

NodeEvents::NodeEvents(Context& context, ControlClient& control, Outbox outbox)
    : sender_(context, control, std::move(outbox), "/v1/node/events") {}

void NodeEvents::report(NodeEventKind kind, std::string_view subject, std::string_view detail) {
  const std::string about = event_text(subject.empty() ? "node" : subject, kSubjectBytes);
  if (!limiter_.allow(kind, about, std::chrono::steady_clock::now())) return;
  const boost::json::object event{{"event_id", "nev_" + to_hex(random_bytes(16))},
                                  {"kind", name(kind)},
                                  {"subject", about},
                                  {"detail", event_text(detail, kDetailBytes)},
                                  {"at", to_rfc3339(RealClock().now())}};
  log::info("told to the control plane", {{"kind", name(kind)}, {"subject", about}});
  (void)sender_.keep(event);  // a full disk was logged
}

}  // namespace rap::agent
