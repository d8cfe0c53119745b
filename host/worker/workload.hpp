// What a process is that runs adapters without sessions: one that `load` named, and others of the
// same library that come and go. docs/contracts/ipc.md has its requests. When the last adapter has
// ended the workload has.
#pragma once

#include <map>
#include <optional>

#include "host/worker/plugin_load.hpp"
#include "host/worker/workload_adapter.hpp"

namespace rap::worker {

struct WorkloadStart {
  const Loaded* library = nullptr;  // outlives the workload
  std::string organization;
};

class Workload final : private AgentLink {
 public:
  // All outlive it. `ended` is called once, when the last adapter is stopped and destroyed. Make it
  // before stage two of the sandbox: the watchdog needs its timer.
  Workload(Loop& loop, ipc::IpcServer& server, WorkloadStart start, std::function<void()> ended);

  // The adapter that `load` named.
  Status start(const AdapterRequest& request, const Admitted& admitted);

  // No answer: it comes later, on the server. `unsupported` for an op that a workload has not.
  Result<std::optional<boost::json::object>> on_request(ipc::IpcServer::RequestId request,
                                                        ipc::Message& message);
  // mode, health, services, metrics and counters, of all and of each adapter.
  void add_status(boost::json::object& out);

  // All adapters.
  void drain(std::chrono::milliseconds limit);
  void stop();

 private:
  // `conflict`: it is there, or has not drained yet.
  Status create(const AdapterRequest& request, const Admitted& admitted);
  Result<boost::json::object> add(const boost::json::object& body);
  Result<boost::json::object> remove(const boost::json::object& body);
  Result<boost::json::object> snapshot(ipc::Message& message);
  Result<boost::json::object> identity(ipc::Message& message);
  Result<boost::json::object> mesh_drop(const boost::json::object& body);
  // The one that a request names, else the first that is left.
  Result<WorkloadAdapter*> adapter_of(const boost::json::object& body);
  void adapter_ended(const std::string& id);

  // AgentLink
  void call(boost::json::object body, std::vector<Fd> fds, std::chrono::milliseconds timeout,
            std::function<void(Result<ipc::Message>)> done) override;
  void note(const boost::json::object& body) override;

  Loop& loop_;
  ipc::IpcServer& server_;
  WorkloadStart start_;
  std::function<void()> ended_;
  Watchdog watchdog_;
  std::map<std::string, std::unique_ptr<WorkloadAdapter>> adapters_;  // by id
  std::string first_;                                                 // the one that `load` named
  // What adapters that are added later are told, too.
  std::map<std::string, std::shared_ptr<const std::string>> documents_;
  std::map<IdentityKey, IdentityPtr> identities_;
  bool draining_ = false;
  std::uint64_t accepted_ = 0, refused_ = 0;  // of adapters that have ended
};

}  // namespace rap::worker
