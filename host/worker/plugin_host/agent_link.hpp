// What the host side of the ABI asks the agent for. The session worker's IPC implements it; tests
// have their own.
#pragma once

#include <chrono>
#include <functional>

#include "host/ipc/message.hpp"

namespace rap::worker {

class AgentLink {
 public:
  virtual ~AgentLink() = default;
  // `done` comes later, exactly once, on the loop.
  virtual void call(boost::json::object body, std::vector<Fd> fds,
                    std::chrono::milliseconds timeout,
                    std::function<void(Result<ipc::Message>)> done) = 0;
  // Lost while no agent is there.
  virtual void note(const boost::json::object& body) = 0;
};

}  // namespace rap::worker
