#include "host/ipc/server.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>

#include <boost/json.hpp>

#include "base/json.hpp"

namespace rap::ipc {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kListeningTag = 0;
constexpr std::uint64_t kTimerTag = 1;
constexpr std::uint64_t kFirstConnection = 2;

// The agent says hello at once; somebody who does not is not the agent.
constexpr auto kHelloLimit = std::chrono::seconds(5);
// One agent, and one that is being replaced, and some room for a confused restart.
constexpr std::size_t kConnectionsMax = 4;
// Enough for a minute of events of a busy session; an agent that reads none of them is gone.
constexpr std::size_t kOutMax = 512;
constexpr std::size_t kNotesMax = 64;
constexpr std::size_t kEventsMax = 256;
// Calls waiting for an agent that is away; a plugin that asks for more gets `exhausted`.
constexpr std::size_t kCallsMax = 64;

}  // namespace

IpcServer::IpcServer(ServerOptions options, Handlers handlers)
    : options_(std::move(options)),
      handlers_(std::move(handlers)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      timer_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)),
      next_connection_(kFirstConnection) {
  if (!epoll_ || !timer_) throw std::runtime_error("ipc server: " + errno_text(errno));
  const int listening = options_.listening.get();
  fcntl(listening, F_SETFL, fcntl(listening, F_GETFL) | O_NONBLOCK);
  fcntl(listening, F_SETFD, FD_CLOEXEC);
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kListeningTag}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listening, &event) != 0) {
    throw std::runtime_error("ipc server: listening socket: " + errno_text(errno));
  }
  event.data.u64 = kTimerTag;
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, timer_.get(), &event);
}

IpcServer::~IpcServer() = default;

void IpcServer::process() {
  std::array<epoll_event, 8> ready{};
  const int count = epoll_wait(epoll_.get(), ready.data(), ready.size(), 0);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t tag = ready[i].data.u64;
    if (tag == kListeningTag) {
      accept_all();
    } else if (tag == kTimerTag) {
      std::uint64_t expirations = 0;
      (void)!::read(timer_.get(), &expirations, sizeof expirations);
    } else {
      auto at = std::find_if(connections_.begin(), connections_.end(),
                             [tag](const Connection& c) { return c.number == tag; });
      if (at == connections_.end()) continue;
      if ((ready[i].events & EPOLLOUT) != 0) flush(*at);
      if ((ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_from(*at);
    }
  }
  expire_calls();
  sweep();
  arm_timer();
}

void IpcServer::accept_all() {
  while (true) {
    Fd socket(accept4(options_.listening.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    auto uid = peer_uid(socket.get());
    if (!uid || *uid != options_.agent_uid) continue;
    if (connections_.size() >= kConnectionsMax) {
      for (Connection& old : connections_) {
        if (&old == agent_ || old.broken) continue;
        old.broken = true;
        break;
      }
    }
    Connection& fresh = connections_.emplace_back();
    fresh.number = next_connection_++;
    fresh.channel = Channel(std::move(socket));
    fresh.since = Clock::now();
    epoll_event event{.events = EPOLLIN, .data = {.u64 = fresh.number}};
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fresh.channel.fd(), &event);
  }
}

void IpcServer::read_from(Connection& connection) {
  Packet packet;
  // A few at a time, so that a chatty agent does not starve the sessions of this process.
  for (int i = 0; i < 16 && !connection.broken; ++i) {
    auto got = connection.channel.receive(packet);
    if (!got || *got == Io::closed) {
      connection.broken = true;
      return;
    }
    if (*got == Io::again) return;
    auto message = parse_message(std::move(packet));
    if (!message) {
      connection.broken = true;
      return;
    }
    on_message(connection, *std::move(message));
  }
}

void IpcServer::on_message(Connection& connection, Message message) {
  if (message.op == "hello") return on_hello(connection, message);
  if (&connection != agent_) {
    if (message.id) {
      const Error error{Errc::unauthorized, "hello comes first"};
      send(connection, refusal_text(*message.id, error), {});
    }
    connection.broken = true;
    return;
  }
  if (message.is_answer()) {
    auto at = calls_.find(*message.id);
    if (at == calls_.end()) return;
    CallDone done = std::move(at->second.done);
    calls_.erase(at);
    done(outcome(std::move(message)));
    return;
  }
  if (message.op == "ack") {
    const std::int64_t seq = json_int_or_none(*message.body, "event_seq").value_or(0);
    while (!events_.empty() && events_.front().first <= seq) events_.pop_front();
    return;
  }
  if (!message.id) return;  // an event of the agent: none exist
  const RequestId request{connection.number, *message.id};
  handlers_.on_request(request, std::move(message));
}

Status IpcServer::check_hello(const json::object& body) {
  const std::string nonce = json_string_or_none(body, "nonce").value_or("");
  const std::int64_t fence = json_int_or_none(body, "fence").value_or(-1);
  if (nonce.size() < 16 || nonce.size() > 128) {
    return fail(Errc::invalid, "nonce: 16..128 characters");
  }
  if (fence < 0) return fail(Errc::invalid, "fence: a number from 0");
  if (!nonce_.empty() && !equal_constant_time(as_bytes(nonce), as_bytes(nonce_))) {
    return fail(Errc::unauthorized, "another nonce than the one this process is bound to");
  }
  if (fence < fence_) {
    return fail(Errc::conflict, "fence " + std::to_string(fence) + " is below " +
                                    std::to_string(fence_) + ": a newer agent was here");
  }
  nonce_ = nonce;
  fence_ = fence;
  return {};
}

void IpcServer::on_hello(Connection& connection, const Message& message) {
  if (!message.id) {
    connection.broken = true;
    return;
  }
  if (auto accepted = check_hello(*message.body); !accepted) {
    send(connection, refusal_text(*message.id, accepted.error()), {});
    connection.broken = true;
    return;
  }
  if (agent_ != nullptr && agent_ != &connection) agent_->broken = true;
  agent_ = &connection;
  json::object answer = {{"kind", options_.kind},
                         {"version", options_.version},
                         {"pid", static_cast<std::int64_t>(getpid())},
                         {"events_lost", events_lost_}};
  if (handlers_.on_hello) handlers_.on_hello(answer);
  send(connection, answer_text(*message.id, answer), {});
  resend_all();
}

void IpcServer::resend_all() {
  for (const auto& [seq, text] : events_) send(*agent_, text, {});
  for (const auto& [id, call] : calls_) {
    std::vector<int> fds;
    for (const Fd& fd : call.fds) fds.push_back(fd.get());
    send(*agent_, call.text, fds);
  }
}

void IpcServer::answer(RequestId request, const json::object& members, std::span<const int> fds) {
  if (agent_ == nullptr || agent_->number != request.connection) return;
  send(*agent_, answer_text(request.id, members), fds);
}

void IpcServer::refuse(RequestId request, const Error& error) {
  if (agent_ == nullptr || agent_->number != request.connection) return;
  send(*agent_, refusal_text(request.id, error), {});
}

void IpcServer::send_event(json::object event) {
  const std::int64_t seq = next_event_++;
  event["event_seq"] = seq;
  if (events_.size() >= kEventsMax) {
    events_.pop_front();
    ++events_lost_;
  }
  const std::string& text = events_.emplace_back(seq, json::serialize(event)).second;
  if (agent_ != nullptr) send(*agent_, text, {});
}

void IpcServer::send_note(const json::object& note) {
  // Notes give way to everything else.
  if (agent_ != nullptr && agent_->out.size() < kNotesMax) send(*agent_, json::serialize(note), {});
}

void IpcServer::call(json::object body, std::vector<Fd> fds, std::chrono::milliseconds timeout,
                     CallDone done) {
  const std::int64_t id = next_call_++;
  body["id"] = id;
  Call call{json::serialize(body), std::move(fds), Clock::now() + timeout, std::move(done)};
  // Over the limit the call expires at once: process() reports it, as it does every other outcome.
  const bool refused = calls_.size() >= kCallsMax;
  if (refused) call.deadline = Clock::time_point::min();
  auto& kept = calls_.emplace(id, std::move(call)).first->second;
  if (agent_ != nullptr && !refused) {
    std::vector<int> numbers;
    for (const Fd& fd : kept.fds) numbers.push_back(fd.get());
    send(*agent_, kept.text, numbers);
  }
  arm_timer();
}

void IpcServer::send(Connection& connection, std::string text, std::span<const int> fds) {
  if (connection.broken) return;
  if (connection.out.empty()) {
    auto sent = connection.channel.send(text, fds);
    if (!sent || *sent == Io::closed) {
      connection.broken = true;
      return;
    }
    if (*sent == Io::done) return;
  }
  if (connection.out.size() >= kOutMax) {
    connection.broken = true;  // the agent does not read; it will connect again
    return;
  }
  std::vector<Fd> copies;
  for (int fd : fds) copies.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  connection.out.emplace_back(std::move(text), std::move(copies));
  watch(connection, true);
}

void IpcServer::flush(Connection& connection) {
  while (!connection.out.empty()) {
    auto& [text, fds] = connection.out.front();
    std::vector<int> numbers;
    for (const Fd& fd : fds) numbers.push_back(fd.get());
    auto sent = connection.channel.send(text, numbers);
    if (!sent || *sent == Io::closed) {
      connection.broken = true;
      return;
    }
    if (*sent == Io::again) return;
    connection.out.pop_front();
  }
  watch(connection, false);
}

void IpcServer::watch(Connection& connection, bool write) {
  if (connection.wants_write == write) return;
  connection.wants_write = write;
  epoll_event event{.events = EPOLLIN | (write ? std::uint32_t{EPOLLOUT} : 0u),
                    .data = {.u64 = connection.number}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.channel.fd(), &event);
}

void IpcServer::sweep() {
  const auto now = Clock::now();
  for (auto at = connections_.begin(); at != connections_.end();) {
    const bool silent = &*at != agent_ && now - at->since >= kHelloLimit;
    if (!at->broken && !silent) {
      ++at;
      continue;
    }
    if (agent_ == &*at) agent_ = nullptr;
    at = connections_.erase(at);
  }
}

void IpcServer::expire_calls() {
  const auto now = Clock::now();
  std::vector<CallDone> expired;
  std::vector<Error> reasons;
  for (auto at = calls_.begin(); at != calls_.end();) {
    if (at->second.deadline > now) {
      ++at;
      continue;
    }
    if (at->second.deadline == Clock::time_point::min()) {
      reasons.push_back({Errc::exhausted, "too many calls to the agent are waiting"});
    } else if (agent_ == nullptr) {
      reasons.push_back({Errc::unavailable, "the agent is away"});
    } else {
      reasons.push_back({Errc::timeout, "the agent did not answer in time"});
    }
    expired.push_back(std::move(at->second.done));
    at = calls_.erase(at);
  }
  for (std::size_t i = 0; i < expired.size(); ++i) expired[i](fail(reasons[i]));
}

void IpcServer::arm_timer() {
  auto next = Clock::time_point::max();
  for (const auto& [id, call] : calls_) next = std::min(next, call.deadline);
  for (const Connection& c : connections_) {
    if (c.broken) next = Clock::time_point::min();
    if (&c != agent_) next = std::min(next, c.since + kHelloLimit);
  }
  itimerspec spec{};
  if (next != Clock::time_point::max()) {
    const auto left = next <= Clock::now() ? std::chrono::nanoseconds(1)
                                           : std::chrono::nanoseconds(next - Clock::now());
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(left);
    spec.it_value.tv_sec = whole.count();
    spec.it_value.tv_nsec = std::max<long>(1, (left - whole).count());
  }
  timerfd_settime(timer_.get(), 0, &spec, nullptr);
}

}  // namespace rap::ipc
