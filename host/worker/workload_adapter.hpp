// One adapter without sessions: created at the start, given connections, watched, drained, stopped.
// A workload has one, or several of the same library.
//
//   start() ─► running ─drain()─► draining ─nothing open, or the deadline─► ended()
//                 └───────────────stop()──────────┴───────────────────────► ended()
#pragma once

#include <map>
#include <memory>

#include "host/ipc/server.hpp"
#include "host/worker/plugin_host/plugin_host.hpp"

namespace rap::worker {

class WorkloadAdapter {
 public:
  // All outlive it. `ended` is called once, when the adapter is stopped and destroyed; this object
  // must live until that call has returned.
  WorkloadAdapter(Loop& loop, ipc::IpcServer& server, AgentLink& agent, Watchdog& watchdog,
                  std::string id, PluginHostOptions options, std::function<void()> ended);
  ~WorkloadAdapter();

  // create and start. `invalid` for a configuration that the adapter does not take.
  Status start(const rap_plugin& plugin);
  const std::string& id() const { return id_; }
  PluginHost& host() { return host_; }

  // accept, listen, unlisten, dial, mesh.open; `unsupported` for anything else. No answer: it comes
  // later, on the server.
  Result<std::optional<boost::json::object>> on_request(ipc::IpcServer::RequestId request,
                                                        ipc::Message& message);

  // Asks for health; tells the agent when it is another one than it was told.
  void look();
  const rap_health& health() const { return health_; }
  bool draining() const { return draining_; }
  std::uint64_t accepted() const { return accepted_; }
  std::uint64_t refused() const { return refused_; }
  // Appends {"service","address","adapter"} for each.
  void add_services(boost::json::array& out) const;

  // Tells the adapter, stops listening, and stops it when nothing is open any more, at the latest
  // after `limit`. Returns at once.
  void drain(std::chrono::milliseconds limit);
  // Now. Nothing when it has ended.
  void stop();

 private:
  struct Service {
    Fd fd;
    std::string name, address;
    bool paused = false;  // not watched: the adapter was busy, or the process has no descriptors
  };
  // A dial or open that the adapter works at. Its address is the `user` of the adapter's answer.
  struct Wanted {
    WorkloadAdapter* self;
    ipc::IpcServer::RequestId request;
    bool inside = true;  // the adapter's function has not returned yet
  };

  Status open_services();
  Result<boost::json::object> accept(ipc::Message& message);
  Result<boost::json::object> listen(ipc::Message& message);
  Result<boost::json::object> unlisten(const boost::json::object& body);
  Status mesh_request(ipc::IpcServer::RequestId request, const ipc::Message& message);
  rap_result ask_mesh(const ipc::Message& message, Wanted* wanted);
  static void mesh_answer(void* user, rap_result result, int fd, rap_str detail);
  void give_up_mesh_requests();
  rap_result give(Fd connected, const std::string& service, const std::string& peer);
  void watch_service(Service& service);
  void accept_from(Service& service);
  void pause(Service& service);
  void close_services();

  Loop& loop_;
  ipc::IpcServer& server_;
  const std::string id_;
  std::function<void()> ended_;
  PluginHost host_;
  const rap_adapter_accept_1* accept_ = nullptr;  // null: the adapter accepts nothing
  const rap_adapter_mesh_1* mesh_ = nullptr;      // null: it is none of the mesh
  std::map<Wanted*, std::unique_ptr<Wanted>> wanted_;
  std::map<std::string, Service> services_;  // by name; stable addresses
  rap_health health_{};                      // as last told
  bool draining_ = false;
  std::uint64_t drain_timer_ = 0;
  std::uint64_t accepted_ = 0, refused_ = 0;
};

// {"level","note","sessions","streams"}
boost::json::object health_json(const rap_health& health);
// The descriptor of a message that must have exactly one.
Result<Fd> only_fd(ipc::Message& message);

}  // namespace rap::worker
