#include "host/agent/session/events.hpp"

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/net/timer.hpp"
#include "host/agent/supervise/backoff.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;

constexpr std::size_t kBatch = 50;  // about 15 KB a request
constexpr net::milliseconds kDeadline{20'000};

// The control plane will never take this one, however often it is sent.
bool is_final_refusal(const Error& error) {
  return error.code == Errc::invalid || error.code == Errc::malformed ||
         error.code == Errc::too_large || error.code == Errc::not_found ||
         error.code == Errc::conflict;
}

}  // namespace

std::string event_id_of(std::string_view session, std::string_view nonce, std::int64_t event_seq) {
  const std::string text =
      std::string(session) + "/" + std::string(nonce) + "/" + std::to_string(event_seq);
  return "evt_" + to_hex(sha256(text)).substr(0, 32);
}

SessionEvents::SessionEvents(Context& context, ControlClient& control, Outbox outbox)
    : context_(context), control_(control), outbox_(std::move(outbox)), work_(context.executor) {
  if (outbox_.size() > 0) work_.set();
}

Status SessionEvents::keep(const json::object& event) {
  Status kept = outbox_.append(json::serialize(event));
  if (!kept) {
    if (disk_trouble_.empty()) {
      log::error("session event cannot be kept", {{"detail", kept.error().text()}});
    }
    disk_trouble_ = kept.error().detail;
    return kept;
  }
  disk_trouble_.clear();
  ++context_.counters.events_kept;
  work_.set();
  return {};
}

net::Task<void> SessionEvents::run() {
  Backoff backoff(net::milliseconds(500), net::milliseconds(30'000));
  std::size_t batch = kBatch;
  while (true) {
    co_await work_.wait();
    const auto texts = outbox_.front(batch);
    if (texts.empty()) {
      work_.reset();
      continue;
    }
    json::array events;
    for (const std::string& text : texts) {
      auto value = parse_json(text);
      if (value) events.push_back(std::move(*value));
    }
    json::object body{{"events", std::move(events)}};
    auto answer = co_await control_.post("/v1/node/session-events", body, kDeadline);
    if (answer) {
      context_.counters.events_sent += texts.size();
      outbox_.accepted(texts.size());
      backoff.reset();
      batch = kBatch;
      continue;
    }
    if (is_final_refusal(answer.error())) {
      // One bad event must not hold up the others: find it by sending singly.
      if (texts.size() == 1) {
        log::error("session event refused", {{"detail", answer.error().text()}});
        outbox_.accepted(1);
      }
      batch = 1;
      continue;
    }
    const std::uint64_t random = random_bytes(1).front() * 7919u;
    co_await net::sleep_for(backoff.next(random));
  }
}

}  // namespace rap::agent
