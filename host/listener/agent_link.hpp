// The agent's IPC connection inside an Asio loop.
#pragma once

#include <memory>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/net/event.hpp"
#include "base/net/task_group.hpp"
#include "host/ipc/server.hpp"

namespace rap::listener {

class AgentLink {
 public:
  AgentLink(net::asio::any_io_executor executor, ipc::ServerOptions options,
            ipc::IpcServer::Handlers handlers);

  // Serves the agent until cancelled. Ends the process when no agent says hello within 30 s: the
  // one that started it ended before it had noted the pid, and no other will find it.
  net::Task<void> run();

  // Sends a request and waits for its answer; also across a restart of the agent, while `timeout`
  // lasts. `there` is closed here once the agent has it.
  net::Task<Result<ipc::Message>> call(boost::json::object body, Fd there,
                                       net::milliseconds timeout);

  ipc::IpcServer& server() { return server_; }

 private:
  void leave_unless_greeted();

  net::asio::any_io_executor executor_;
  ipc::IpcServer server_;
  net::asio::steady_timer greeting_;
  net::asio::posix::stream_descriptor ready_;  // a copy of the server's descriptor
};

}  // namespace rap::listener
