// The agent's side without Asio, for tools and tests that have nothing else to do.
#pragma once

#include <chrono>
#include <deque>

#include "host/ipc/message.hpp"

namespace rap::ipc {

class BlockingClient {
 public:
  explicit BlockingClient(Fd socket);

  // Waits for the answer; other messages that arrive meanwhile are kept for next_message().
  Result<Message> call(const boost::json::object& body, std::span<const int> fds,
                       std::chrono::milliseconds timeout);
  Result<Message> hello(const std::string& nonce, std::int64_t fence,
                        std::chrono::milliseconds timeout);
  // The next event or request; `timeout`, or `unavailable` when the process closed.
  Result<Message> next_message(std::chrono::milliseconds timeout);

  Status answer(std::int64_t id, const boost::json::object& members, std::span<const int> fds = {});
  Status refuse(std::int64_t id, const Error& error);
  Status ack(std::int64_t event_seq);

 private:
  using Deadline = std::chrono::steady_clock::time_point;
  Result<Message> receive(Deadline deadline);
  Status send(const std::string& text, std::span<const int> fds);

  Channel channel_;
  std::int64_t next_id_ = 1;
  std::deque<Message> kept_;
};

}  // namespace rap::ipc
