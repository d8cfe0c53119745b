#include "host/agent/session/events.hpp"

#include <utility>

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
// About 300 KB: ten events for each of a hundred sessions. Their workers hold them too.
constexpr std::size_t kUnkeptMax = 1024;
constexpr net::milliseconds kRetryDisk{1'000};  // soon after somebody made room

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

SessionEvents::SessionEvents(Context& context, ControlClient& control, Outbox outbox,
                             std::string target)
    : context_(context),
      control_(control),
      outbox_(std::move(outbox)),
      target_(std::move(target)),
      work_(context.executor) {
  if (outbox_.size() > 0) work_.set();
}

Status SessionEvents::append(const std::string& text, const std::function<void()>& kept) {
  Status done = outbox_.append(text);
  if (!done) return done;
  ++context_.counters.events_kept;
  work_.set();
  if (kept) kept();
  return {};
}

Status SessionEvents::keep(const json::object& event, std::function<void()> kept) {
  std::string text = json::serialize(event);
  if (unkept_.empty()) {
    Status done = append(text, kept);
    if (done) return done;
    if (done.error().code == Errc::too_large || done.error().code == Errc::invalid) {
      ++refused_;
      log::error("session event cannot be kept", {{"detail", done.error().text()}});
      return done;
    }
    log::error("session event waits for the disk", {{"detail", done.error().text()}});
    disk_trouble_ = done.error().detail;
  }
  // A worker that was connected again repeats what was not acknowledged.
  for (Unkept& entry : unkept_) {
    if (entry.text != text) continue;
    entry.kept = std::move(kept);
    return {};
  }
  if (unkept_.size() >= kUnkeptMax) {
    ++refused_;
    return fail(Errc::exhausted, "too many session events wait for the disk");
  }
  unkept_.push_back({std::move(text), std::move(kept)});
  if (!std::exchange(retrying_, true)) context_.tasks.spawn("events to disk", retry());
  return {};
}

net::Task<void> SessionEvents::retry() {
  while (!unkept_.empty()) {
    Status done = append(unkept_.front().text, unkept_.front().kept);
    if (done) {
      unkept_.pop_front();
      continue;
    }
    disk_trouble_ = done.error().detail;
    co_await net::sleep_for(kRetryDisk);
  }
  retrying_ = false;
  disk_trouble_.clear();
  log::info("the disk takes session events again");
}

net::Task<void> SessionEvents::run() {
  Backoff backoff(net::milliseconds(500), net::milliseconds(30'000));
  std::size_t batch = kBatch;
  while (true) {
    co_await work_.wait();
    const Outbox::Batch sent = outbox_.front(batch);
    if (sent.events.empty()) {
      work_.reset();
      continue;
    }
    json::array events;
    for (const std::string& text : sent.events) {
      auto value = parse_json(text);
      if (value) events.push_back(std::move(*value));
    }
    json::object body{{"events", std::move(events)}};
    auto answer = co_await control_.post(target_, body, kDeadline);
    if (answer) {
      context_.counters.events_sent += sent.events.size();
      outbox_.accepted(sent.last);
      backoff.reset();
      batch = kBatch;
      continue;
    }
    if (is_final_refusal(answer.error())) {
      // One bad event must not hold up the others: find it by sending singly.
      if (sent.events.size() == 1) {
        log::error("event refused", {{"target", target_}, {"detail", answer.error().text()}});
        outbox_.accepted(sent.last);
      }
      batch = 1;
      continue;
    }
    const std::uint64_t random = random_bytes(1).front() * 7919u;
    co_await net::sleep_for(backoff.next(random));
  }
}

}  // namespace rap::agent
