// Keeps rap-mesh-listener alive: the only process of a node with the network.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/net/event.hpp"
#include "base/net/x509.hpp"
#include "host/agent/snapshot/applied.hpp"
#include "host/agent/supervise/process.hpp"
#include "host/agent/supervise/restart_policy.hpp"
#include "host/agent/supervise/workload_state.hpp"

namespace rap::agent {

struct ListenerSettings {
  net::TlsIdentity identity;
  std::string cluster_ca_pem;
  std::string cluster_id;
  std::string node_id;
  std::vector<LeaseKey> lease_keys;
};

// Owners: the agent, and its own loop while that runs.
class MeshListener : public std::enable_shared_from_this<MeshListener> {
 public:
  // A new stream of a client: verified lease claims, its address (may be empty), our end of it.
  // Answer with accept() or refuse().
  using OnStream =
      std::function<void(std::int64_t id, ipc::JsonPtr claims, std::string from, Fd stream)>;

  // `changed`: state or endpoint are other ones; may be empty.
  MeshListener(Context& context, LogCapture& logs, OnStream on_stream,
               std::function<void()> changed);
  ~MeshListener();

  Status adopt(InstanceRecord record);
  void start();
  // Sent now and after every restart.
  void configure(ListenerSettings settings);
  // SIGTERM -> SIGKILL; it is not started again.
  net::Task<void> stop();

  void accept(std::int64_t id);
  void refuse(std::int64_t id, const Error& error);
  // A connected socket. `unavailable` and `timeout` without the address in the text; `exhausted`
  // when `organization`, in whose name it is, has its share of connections being made.
  net::Task<Result<Fd>> dial(const std::string& organization, const std::string& host,
                             std::uint16_t port, net::milliseconds limit);
  // `{"streams":..,"connections":..,"refused":{..}}` or the error.
  net::Task<Result<ipc::Message>> status();

  WorkloadState state() const { return state_; }
  const std::string& detail() const { return detail_; }
  // Where it listens, "host:port"; empty until it does.
  const std::string& endpoint() const { return endpoint_; }
  int pid() const { return process_ ? process_->record().pid : 0; }

 private:
  static net::Task<void> run(std::shared_ptr<MeshListener> self);
  static net::Task<void> reconfigure(std::shared_ptr<MeshListener> self);
  net::Task<Status> bring_up();
  net::Task<Status> send_configuration();
  net::Task<void> serve();
  void on_message(ipc::Message message);
  void set(WorkloadState state, std::string detail);

  Context& context_;
  LogCapture& logs_;
  OnStream on_stream_;
  std::function<void()> changed_;
  RestartPolicy policy_;
  std::unique_ptr<Process> process_;
  std::optional<ListenerSettings> settings_;
  net::Event wake_;  // new settings or stop()
  bool stopping_ = false;
  WorkloadState state_ = WorkloadState::starting;
  std::string detail_ = "waits for the first snapshot";
  std::string endpoint_;
};

}  // namespace rap::agent
