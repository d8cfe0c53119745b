// `rap-node-agent run`: builds the parts and connects them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/agent/control/control_client.hpp"
#include "host/agent/control/mesh_certificates.hpp"
#include "host/agent/control/mesh_reports.hpp"
#include "host/agent/node/capabilities.hpp"
#include "host/agent/node/facts.hpp"
#include "host/agent/run/context.hpp"
#include "host/agent/run/node_events.hpp"
#include "host/agent/session/broker.hpp"
#include "host/agent/snapshot/sync.hpp"
#include "host/agent/state/identity.hpp"
#include "host/agent/supervise/mesh_listener.hpp"
#include "host/agent/supervise/workloads.hpp"

namespace rap::agent {

// What the agent knows about its way to the control plane, for status and readiness.
struct ControlState {
  bool reached = false;        // the last call came back
  std::string trouble;         // why not
  std::string shut_out;        // it answered that this node may not any more, and why
  bool clock_suspect = false;  // because of a date: this host's clock is wrong, or the other's
  SystemTime last_contact{};
  std::int64_t clock_difference_s = 0;  // server's clock minus ours
  std::int64_t desired_seq = 0;
};

// Where the control plane is: the configuration's word before that of the enrollment.
Result<ServerAddress> server_of(const Config& config, const Identity& identity);

class Agent {
 public:
  Agent(Context& context, Identity identity, ServerAddress server, HostAbilities abilities,
        Facts facts, Outbox outbox, Outbox node_outbox);
  ~Agent();

  // Reads what is on disk, adopts what runs, starts every loop. `control plane down` is no failure.
  void start();

  // Everything ordered to its end: sessions, workers, listener. For `POST /stop`.
  net::Task<void> stop_all();

  boost::json::object status() const;
  std::string metrics() const;
  // nullopt: fine; otherwise why not.
  std::optional<std::string> not_ready() const;
  std::optional<std::string> not_started() const;
  // Since when this node may do nothing new, and which command helps.
  std::optional<std::string> certificate_trouble() const;
  // Since when, and why, what is in force is not confirmed any more; it stays in force.
  std::optional<std::string> stale() const;

 private:
  net::Task<void> heartbeat_loop();
  net::Task<void> desired_loop();
  net::Task<void> sync_loop();
  net::Task<void> rotation_loop();
  net::Task<Result<std::chrono::milliseconds>> send_heartbeat();
  net::Task<Status> renew_certificate();
  Status use_identity(Identity next);
  // `enroll` runs beside an agent whose certificate has ended: true when it left a good one.
  bool take_enrollment();
  net::Task<void> wait_for_enrollment(net::milliseconds longest);
  net::Task<bool> sync(SyncInput::Scope scope);
  // What of a sync, of the workloads and of the sandbox belongs into the audit log.
  void tell_refused(const SyncOutput& output);
  void tell_workloads(const std::vector<WorkloadReport>& reports);
  void tell_sandbox();
  void adopt_processes();
  void apply(AppliedPtr applied);
  void configure_listener();
  boost::json::object heartbeat_body();
  net::milliseconds until_next_sync() const;
  void note_contact(const Status& status);
  net::TlsIdentity tls_identity() const;
  std::string mesh_endpoint() const;

  Context& context_;
  Identity identity_;
  ServerAddress server_;
  HostAbilities abilities_;
  Facts facts_;
  LoadMeter load_;
  ControlClient control_;
  SessionEvents events_;
  NodeEvents node_events_;
  LogCapture logs_;
  Workloads workloads_;
  std::shared_ptr<MeshListener> listener_;
  SessionBroker broker_;
  MeshCertificates mesh_certificates_;
  MeshReports mesh_reports_;
  MeshHandPtr identities_;  // as last told

  AppliedPtr applied_;
  ControlState control_state_;
  std::string seemed_over_;  // the certificate that had ended by this host's clock, if it did
  std::string sync_trouble_;
  std::string release_trouble_;  // R has no fresh word; D does
  SystemTime last_sync_{};
  bool syncing_ = false;
  net::Event sync_wanted_;
  net::Event sync_done_;
  net::Event beat_now_;
  std::set<std::string> closing_;
  std::set<std::string> failed_workloads_;  // assignments
  std::string sandbox_missing_;             // layers, as last told
};

}  // namespace rap::agent
