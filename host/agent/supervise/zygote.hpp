// Keeps one rap-worker alive: one plugin (by digest) with one configuration for one organization,
// as a zygote that sessions are forked from, or as a workload, whose adapter has no sessions.
//
// A workload of the mesh fills other roles beside its own, with an adapter for each.
//
//   load artifact ► start ► hello ► load ► running ──exit──► wait ► again
//                 adopted ► hello ──────────┘        └─ too often ► failed, until retry()
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/net/event.hpp"
#include "host/agent/snapshot/applied.hpp"
#include "host/agent/state/mesh_keys.hpp"
#include "host/agent/state/store.hpp"
#include "host/agent/supervise/joined_adapters.hpp"
#include "host/agent/supervise/process.hpp"
#include "host/agent/supervise/restart_policy.hpp"
#include "host/agent/supervise/workload_state.hpp"

namespace rap::agent {

struct ZygoteSpec {
  Release release;
  loader::AdapterFacts adapter;
  std::string organization;
  std::string config_json = "{}";
  // Workloads only: an instance for each assignment.
  std::string role;
  std::string assignment_id;

  const std::string& digest() const { return release.artifact_sha256; }
  bool workload() const { return !assignment_id.empty(); }
  // It is one of the mesh's: the only ones with a network.
  bool mesh() const { return adapter.profile == "net.client"; }
  // Asks for `extension`, needed or wanted.
  bool asks_for(std::string_view extension) const;
};

struct ServiceReport {
  std::string service, address;
};

struct SandboxLayer {
  std::string name, state, detail;
};

// Owners: Workloads, and its own loop while that runs.
class Zygote : public std::enable_shared_from_this<Zygote> {
 public:
  struct Hooks {
    std::function<void()> changed;       // the report is another one
    std::function<void()> artifact_bad;  // the stored bytes are wrong: download again
    std::function<void(std::string session, ExitInfo how)> session_exited;
    // Stored bytes were not loaded: another digest, or ELF rules. `product` with version.
    std::function<void(std::string product, std::string detail)> artifact_refused;
    // A workload's stream to a target that it names.
    std::function<net::Task<Result<Fd>>(std::string role, std::string organization,
                                        std::string target, net::milliseconds limit)>
        open_stream;
    // There is a record of this session. Empty: of every one.
    std::function<bool(const std::string& session)> knows_session;
    // From a workload of the mesh. Empty: refused.
    std::function<void(MeshStream stream)> mesh_stream;
    // What a workload of the mesh says of its links. Empty: nobody hears it.
    std::function<void(boost::json::object report)> mesh_report;
    // A workload has let go of its sockets, or has ended: its successor may start.
    std::function<void()> gave_way;
  };

  Zygote(Context& context, LogCapture& logs, ZygoteSpec spec, Hooks hooks);
  // Its process lives on when it was not stopped.
  ~Zygote();

  // Takes over a process of an earlier agent; before start().
  Status adopt(InstanceRecord record);
  void start();
  // Try again now, and forget earlier failures: the artifact or the assignment changed.
  void retry();

  // drain -> stop -> SIGTERM -> SIGKILL. `conflict` when sessions live in it and `force` is no. A
  // workload drains, for at most 30 s, the mesh 5 s, unless `force` is yes.
  enum class Force { no, yes };
  net::Task<Status> stop(Force force);

  // True when it accepts fork(), waiting for a start that is under way.
  net::Task<bool> wait_ready(net::milliseconds limit);
  // The pidfd of a new session worker that inherited `listening`.
  net::Task<Result<Fd>> fork(const std::string& session, Fd listening);

  // What a workload may know, by name; sent to a plugin that asks for rap.host.snapshot/1, when it
  // is another one than it has.
  void set_document(const std::string& name, DocumentPtr document);
  // The node's; sent to a plugin that asks for rap.host.identity/1, as far as it has not got them.
  void set_identities(MeshHandPtr identities);

  // What its process does beside `spec`; of a workload of the mesh.
  void set_joined(const std::vector<JoinedRole>& roles);
  // State and words for the role that this adapter fills, `spec`'s or a joined one.
  JoinedAdapters::State state_of(const std::string& adapter) const;

  // A connected socket, made by the mesh; as MeshListener::dial().
  net::Task<Result<Fd>> dial(const std::string& organization, const std::string& host,
                             std::uint16_t port, net::milliseconds limit);
  // A session or an organization is over (one of them is empty): its streams end. Lost without a
  // connection.
  void drop_streams(const std::string& session, const std::string& organization);
  // The worker's own word, as docs/contracts/ipc.md has it.
  net::Task<Result<ipc::Message>> ask_status();

  const ZygoteSpec& spec() const { return spec_; }
  std::string name() const { return name_; }
  WorkloadState state() const { return state_; }
  const std::string& detail() const { return detail_; }
  int pid() const { return process_ ? process_->record().pid : 0; }
  const std::vector<SandboxLayer>& layers() const { return layers_; }
  const std::vector<ServiceReport>& services() const { return services_; }
  // It is a mesh that makes connections for sessions.
  bool dials() const;
  bool ready() const { return ready_.is_set(); }
  bool stopped() const { return stopped_; }
  // It accepts nothing any more.
  bool gave_way() const { return stopped_ || draining_; }

 private:
  static net::Task<void> run(std::shared_ptr<Zygote> self);
  net::Task<Status> bring_up();
  net::Task<Status> launch();
  net::Task<Status> load_plugin();
  net::Task<void> until_gone();
  // The workload's sockets and documents, as far as `status` does not show that it has them.
  net::Task<Status> equip(ipc::JsonPtr status);
  net::Task<Status> send_documents();
  net::Task<Status> send_document(std::string name);
  std::string next_document() const;
  static net::Task<void> resend_documents(std::shared_ptr<Zygote> self);
  net::Task<Status> send_identities();
  net::Task<Status> send_identity(MeshUse use);
  std::optional<MeshUse> next_identity() const;
  static net::Task<void> resend_identities(std::shared_ptr<Zygote> self);
  // Brings the joined adapters to what is wanted, one step at a time.
  static net::Task<void> arrange(std::shared_ptr<Zygote> self);
  net::Task<void> take_step(JoinedAdapters::Step step);
  net::Task<void> add_adapter(JoinedRole role);
  // False: the worker does not say.
  net::Task<bool> look_again();
  void take_health(const boost::json::object& status, const std::string& adapter);
  void note_joined(JoinedRecords records);
  void tell_joined();
  void on_mesh_stream(ipc::Message message);
  static net::Task<void> send_drop(std::shared_ptr<Zygote> self, std::string session,
                                   std::string organization);
  static net::Task<void> stream_open(std::shared_ptr<Zygote> self, ipc::Message message);
  // An earlier agent may have ended between the fork and its note of it: nobody could end that
  // session any more, and `stop` would be refused for ever.
  net::Task<void> end_unknown_sessions(ipc::JsonPtr status);
  void on_message(ipc::Message message);
  void on_status(const boost::json::object& status);
  void on_health(const boost::json::object& message);
  // Running, or what the adapter says instead.
  void show_health();
  void read_layers(const ipc::Message& answer);
  void set(WorkloadState state, std::string detail);

  Context& context_;
  LogCapture& logs_;
  ZygoteSpec spec_;
  Hooks hooks_;
  std::string name_;
  RestartPolicy policy_;
  std::unique_ptr<Process> process_;
  net::Event ready_;
  net::Event wake_;
  WorkloadState state_ = WorkloadState::starting;
  std::string detail_;
  std::vector<SandboxLayer> layers_;
  LineLimiter lines_;              // of what sessions print
  bool handed_over_ = false;       // its process became a session worker
  bool refused_for_good_ = false;  // the last load: another try would be answered the same
  struct Health {
    std::string level = "ok", note;
  };
  Health health_;  // a workload's, as last told
  std::vector<ServiceReport> services_;
  std::map<std::string, DocumentPtr> documents_, documents_sent_;
  bool sending_documents_ = false;
  MeshHandPtr identities_;
  std::map<MeshUse, std::string> identities_sent_;  // certificates
  bool sending_identities_ = false;
  JoinedAdapters joined_;
  std::map<std::string, JoinedAdapters::State> joined_told_;
  net::Event joined_wake_;
  std::string failure_;  // what a workload said when it could not go on
  bool draining_ = false;
  bool stopping_ = false;
  bool stopped_ = false;
};

// Name of the instance: short enough for a socket path, the same for the same plugin, configuration
// and organization (and assignment, of a workload), and so found again by the next agent.
std::string instance_name(const ZygoteSpec& spec);

// What a worker may be given; a plugin that needs something else cannot run here.
Result<std::vector<std::string>> grants_for(const loader::AdapterFacts& adapter);
// May an adapter that fills `role` have the sandbox profile that it asks for? net.client is for the
// roles of the mesh. Pure.
Status profile_for(const loader::AdapterFacts& adapter, std::string_view role);
bool is_session_adapter(const loader::AdapterFacts& adapter);

}  // namespace rap::agent
