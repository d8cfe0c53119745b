// Keeps one rap-worker zygote alive: one plugin (by digest) for one organization.
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
#include "host/agent/state/store.hpp"
#include "host/agent/supervise/process.hpp"
#include "host/agent/supervise/restart_policy.hpp"
#include "host/agent/supervise/workload_state.hpp"

namespace rap::agent {

struct ZygoteSpec {
  Release release;
  loader::AdapterFacts adapter;
  std::string organization;
  std::string config_json = "{}";

  std::string digest() const { return release.artifact_sha256; }
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
  };

  Zygote(Context& context, LogCapture& logs, ZygoteSpec spec, Hooks hooks);
  // Its process lives on when it was not stopped.
  ~Zygote();

  // Takes over a process of an earlier agent; before start().
  Status adopt(InstanceRecord record);
  void start();
  // Try again now, and forget earlier failures: the artifact or the assignment changed.
  void retry();

  // drain -> stop -> SIGTERM -> SIGKILL. `conflict` when sessions live in it and `force` is no.
  enum class Force { no, yes };
  net::Task<Status> stop(Force force);

  // True when it accepts fork(), waiting for a start that is under way.
  net::Task<bool> wait_ready(net::milliseconds limit);
  // The pidfd of a new session worker that inherited `listening`.
  net::Task<Result<Fd>> fork(const std::string& session, Fd listening);

  const ZygoteSpec& spec() const { return spec_; }
  std::string name() const { return name_; }
  WorkloadState state() const { return state_; }
  const std::string& detail() const { return detail_; }
  int pid() const { return process_ ? process_->record().pid : 0; }
  const std::vector<SandboxLayer>& layers() const { return layers_; }
  bool stopped() const { return stopped_; }

 private:
  static net::Task<void> run(std::shared_ptr<Zygote> self);
  net::Task<Status> bring_up();
  net::Task<Status> launch();
  net::Task<Status> load_plugin();
  net::Task<void> until_gone();
  void on_message(ipc::Message message);
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
  bool handed_over_ = false;       // its process became a session worker
  bool refused_for_good_ = false;  // the last load: another try would be answered the same
  bool stopping_ = false;
  bool stopped_ = false;
};

// Names of the instance: short enough for a socket path, the same for the same plugin and
// organization.
std::string zygote_name(const std::string& digest, const std::string& organization);

// What a worker may be given; a plugin that needs something else cannot run here.
Result<std::vector<std::string>> grants_for(const loader::AdapterFacts& adapter);

}  // namespace rap::agent
