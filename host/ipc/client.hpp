// The agent's side, on Asio.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "host/ipc/message.hpp"
#include "host/ipc/message_budget.hpp"

namespace rap::ipc {

// One connection to one supervised process. Everything happens on `executor`, which must not run
// handlers concurrently (a strand, or one thread). Destroying it closes the connection; calls in
// flight then end with `cancelled`.
class IpcClient {
 public:
  struct Handlers {
    // Events (`op`, no `id`; acknowledge with ack() when `event_seq` is there) and requests of the
    // process (`op` and `id`; answer with answer() or refuse()).
    std::function<void(Message)> on_message;
    // Once, when the process closed the connection, broke the protocol, or reads nothing while more
    // than 512 messages wait for it. Not called after the client was destroyed. Calls in flight end
    // with `unavailable` first.
    std::function<void(const Error&)> on_closed;
  };

  // `socket`: connect_to(path). The handlers may destroy the client. `budget`: what the process may
  // send, over all its connections; its owners are they and who connects. Null: no limit.
  IpcClient(boost::asio::any_io_executor executor, Fd socket, Handlers handlers,
            std::shared_ptr<MessageBudget> budget = nullptr);
  ~IpcClient();
  IpcClient(const IpcClient&) = delete;
  IpcClient& operator=(const IpcClient&) = delete;

  // Sends `{"op":..,"id":..} + body` when called (not when awaited). The answer with its
  // descriptors, or the error the process refused with, or `timeout`, `unavailable`, `cancelled`,
  // or `too_large` when it does not fit into a message.
  // The descriptors of the request are closed here after sending.
  boost::asio::awaitable<Result<Message>> call(const boost::json::object& body, std::vector<Fd> fds,
                                               std::chrono::milliseconds timeout);
  // `{"op":"hello",...}` and its answer.
  boost::asio::awaitable<Result<Message>> hello(const std::string& nonce, std::int64_t fence,
                                                const std::string& agent_version,
                                                std::chrono::milliseconds timeout);

  void answer(std::int64_t id, const boost::json::object& members, std::span<const int> fds = {});
  void refuse(std::int64_t id, const Error& error);
  void ack(std::int64_t event_seq);
  bool open() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;  // also held by its own pending waits
};

}  // namespace rap::ipc
