#include "host/ipc/blocking_client.hpp"

#include <poll.h>

#include <algorithm>

#include <boost/json.hpp>

namespace rap::ipc {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;

// False at the deadline.
bool wait_for(int fd, short events, Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  pollfd wait{fd, events, 0};
  return ::poll(&wait, 1, static_cast<int>(std::max<long>(0, left.count()))) > 0;
}

}  // namespace

BlockingClient::BlockingClient(Fd socket) : channel_(std::move(socket)) {}

Status BlockingClient::send(const std::string& text, std::span<const int> fds) {
  const auto deadline = Clock::now() + std::chrono::seconds(5);
  while (true) {
    auto sent = channel_.send(text, fds);
    if (!sent) return fail(sent.error());
    if (*sent == Io::done) return {};
    if (*sent == Io::closed) return fail(Errc::unavailable, "the process closed the connection");
    if (!wait_for(channel_.fd(), POLLOUT, deadline)) return fail(Errc::timeout, "send");
  }
}

Result<Message> BlockingClient::receive(Deadline deadline) {
  while (true) {
    Packet packet;
    auto got = channel_.receive(packet);
    if (!got) return fail(got.error());
    if (*got == Io::closed) return fail(Errc::unavailable, "the process closed the connection");
    if (*got == Io::done) return parse_message(std::move(packet));
    if (!wait_for(channel_.fd(), POLLIN, deadline)) return fail(Errc::timeout, "no message");
  }
}

Result<Message> BlockingClient::call(const json::object& body, std::span<const int> fds,
                                     std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  const std::int64_t id = next_id_++;
  json::object request(body);
  request["id"] = id;
  if (auto sent = send(json::serialize(request), fds); !sent) return fail(sent.error());
  while (true) {
    auto message = receive(deadline);
    if (!message) return message;
    if (message->is_answer() && *message->id == id) return outcome(*std::move(message));
    if (!message->is_answer()) kept_.push_back(*std::move(message));
  }
}

Result<Message> BlockingClient::hello(const std::string& nonce, std::int64_t fence,
                                      std::chrono::milliseconds timeout) {
  json::object body = {
      {"op", "hello"}, {"nonce", nonce}, {"fence", fence}, {"agent_version", "0.1.0"}};
  return call(body, {}, timeout);
}

Result<Message> BlockingClient::next_message(std::chrono::milliseconds timeout) {
  if (!kept_.empty()) {
    Message first = std::move(kept_.front());
    kept_.pop_front();
    return first;
  }
  const auto deadline = Clock::now() + timeout;
  while (true) {
    auto message = receive(deadline);
    // An answer comes late, to a call whose caller has given up.
    if (!message || !message->is_answer()) return message;
  }
}

Status BlockingClient::answer(std::int64_t id, const json::object& members,
                              std::span<const int> fds) {
  return send(answer_text(id, members), fds);
}

Status BlockingClient::refuse(std::int64_t id, const Error& error) {
  return send(refusal_text(id, error), {});
}

Status BlockingClient::ack(std::int64_t event_seq) {
  json::object body = {{"op", "ack"}, {"event_seq", event_seq}};
  return send(json::serialize(body), {});
}

}  // namespace rap::ipc
