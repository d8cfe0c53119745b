// An adapter without sessions, in the process that loaded it: created at the start, told what the
// agent has for it, watched, drained, stopped. docs/contracts/ipc.md has its requests.
//
//   start() ─► running ─drain()─► draining ─nothing open, or the deadline─► ended()
//                 └───────────────stop()──────────┴───────────────────────► ended()
#pragma once

#include <map>
#include <optional>

#include "host/ipc/server.hpp"
#include "host/worker/plugin_host/plugin_host.hpp"

namespace rap::worker {

struct WorkloadStart {
  const rap_plugin* plugin = nullptr;
  std::string adapter_id;
  PluginHostOptions host;
};

class Workload final : private AgentLink {
 public:
  // All outlive it. `ended` is called once, when the adapter is stopped and destroyed. Make it
  // before stage two of the sandbox: the watchdog needs its timer.
  Workload(Loop& loop, ipc::IpcServer& server, WorkloadStart start, std::function<void()> ended);

  // create and start. `invalid` for a configuration that the adapter does not take.
  Status start();

  // accept, listen, unlisten, snapshot; `unsupported` for anything else.
  Result<boost::json::object> on_request(ipc::Message& message);
  // mode, health, services, metrics and counters.
  void add_status(boost::json::object& out);

  // Tells the adapter, stops listening, and stops it when nothing is open any more, at the latest
  // after `limit`. Returns at once.
  void drain(std::chrono::milliseconds limit);
  // Now.
  void stop();

 private:
  struct Service {
    Fd fd;
    std::string name, address;
    bool paused = false;  // not watched: the adapter was busy, or the process has no descriptors
  };

  Status open_services();
  Result<boost::json::object> accept(ipc::Message& message);
  Result<boost::json::object> listen(ipc::Message& message);
  Result<boost::json::object> unlisten(const boost::json::object& body);
  Result<boost::json::object> snapshot(ipc::Message& message);
  rap_result give(Fd connected, const std::string& service, const std::string& peer);
  void watch_service(Service& service);
  void accept_from(Service& service);
  void pause(Service& service);
  void close_services();
  // Asks for health; tells the agent when it is another one than it was told.
  void look();

  // AgentLink
  void call(boost::json::object body, std::chrono::milliseconds timeout,
            std::function<void(Result<ipc::Message>)> done) override;

  Loop& loop_;
  ipc::IpcServer& server_;
  WorkloadStart start_;
  std::function<void()> ended_;
  Watchdog watchdog_;
  PluginHost host_;
  const rap_adapter_accept_1* accept_ = nullptr;  // null: the adapter accepts nothing
  std::map<std::string, Service> services_;       // by name; stable addresses
  rap_health health_{};                           // as last told
  bool draining_ = false;
  std::uint64_t accepted_ = 0, refused_ = 0;
};

}  // namespace rap::worker
