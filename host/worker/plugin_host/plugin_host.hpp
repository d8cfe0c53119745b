// The host side of the plugin ABI: the rap_host a plugin sees, and the guard around calls into it.
// One file per extension; docs/plugin-guide.md numbers the rules that are cited here.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "host/worker/loop.hpp"
#include "host/worker/plugin_host/agent_link.hpp"
#include "host/worker/plugin_host/identity.hpp"
#include "host/worker/watchdog.hpp"
#include "rap/ext/mesh.h"

namespace rap::worker {

struct PluginHostOptions {
  std::vector<std::string> grants;  // extension ids that policy granted
  std::string config = "{}";        // JSON, checked against the schema already
  std::string organization;
  std::string session_id;
  int state_directory = -1;  // for rap.host.state-dir/1; -1: there is none
  // The adapter reported its health by itself. Any thread; may be empty.
  std::function<void()> health_reported = {};
};

struct Metric {
  std::string name, unit, help;
  std::uint32_t kind = 0;
  double value = 0;         // counter: sum; gauge: last; histogram: sum
  std::uint64_t count = 0;  // of records
};

class PluginHost {
 public:
  // All outlive it.
  PluginHost(Loop& loop, AgentLink& agent, Watchdog& watchdog, PluginHostOptions options);
  ~PluginHost();
  PluginHost(const PluginHost&) = delete;
  PluginHost& operator=(const PluginHost&) = delete;

  const rap_host* raw() const { return &host_; }

  // create and start of the adapter with that id. The error names the call and has the plugin's
  // text.
  Status start(const rap_plugin& plugin, const std::string& adapter_id);
  // stop and destroy; nothing when it never started. Legal in every state (P6). Afterwards no
  // callback of the adapter runs any more, whatever it had asked for.
  void stop();
  rap_adapter* adapter() const { return adapter_; }

  // Runs `body`, a call into the plugin, under the watchdog. Whatever the plugin says with fail()
  // meanwhile is kept for last_failure().
  template <typename Body>
  rap_result call(const char* what, Body&& body) {
    failure_.clear();
    const Watchdog::Scope scope(watchdog_, what);
    return body();
  }
  // The plugin's words about the last call; empty when it said nothing.
  const std::string& last_failure() const { return failure_; }
  // "open: unreachable: no route"; the detail is empty when the plugin gave none.
  Error error_of(const char* what, rap_result result) const;

  rap_health health();
  std::vector<Metric> metrics() const;

  // ---- used by the extension files ----
  static PluginHost& of(const rap_host* host) { return *static_cast<PluginHost*>(host->host_data); }
  Loop& loop() { return loop_; }
  // As Loop::post and AgentLink::call, for as long as the adapter lives: later the task does not
  // run, and descriptors of the answer are closed. post(): any thread.
  void post(std::function<void()> task);
  void ask(boost::json::object body, std::vector<Fd> fds, std::chrono::milliseconds timeout,
           std::function<void(Result<ipc::Message>)> done);
  // Of the adapter; ended with it.
  std::uint64_t timer(std::chrono::milliseconds first, std::chrono::milliseconds every,
                      Loop::Task task);
  bool cancel_timer(std::uint64_t id);
  Status watch(int fd, std::uint32_t events, Loop::Ready ready);
  bool unwatch(int fd);
  const PluginHostOptions& options() const { return options_; }
  const boost::json::value& config() const { return *config_; }
  // Rule T5: false, and a line in the log, when the caller is not on the loop thread.
  bool on_loop_or_blame(const char* function);
  // Tasks and callbacks of the plugin run through here.
  void run_plugin_task(const char* what, const std::function<void()>& task);

  struct PendingStream {
    rap_stream_fn done;
    void* user;
  };
  std::uint64_t add_stream(PendingStream pending);                 // 0: too many
  std::optional<PendingStream> take_stream(std::uint64_t ticket);  // any thread

  // Why the last stream that was asked for did not come, in the agent's words: the plugin gets a
  // code only. Loop thread.
  void note_stream_failure(std::string detail) { stream_failure_ = std::move(detail); }
  const std::string& stream_failure() const { return stream_failure_; }

  // rap.host.snapshot/1. `json` is what the agent sent and is one JSON document.
  void set_snapshot(const std::string& name, std::shared_ptr<const std::string> json);
  rap_result watch_snapshot(const std::string& name, rap_snapshot_fn run, void* user);
  rap_result unwatch_snapshot(const std::string& name);

  // rap.host.identity/1. Nothing where it was not granted.
  void set_identity(IdentityPtr identity);
  void watch_identity(std::uint32_t kind, rap_identity_fn run, void* user);
  bool unwatch_identity(std::uint32_t kind);

  // rap.host.mesh/1
  bool begin_delivery(std::size_t most) { return deliveries_ < most && ++deliveries_ > 0; }
  void end_delivery() { --deliveries_; }
  void mesh_report(boost::json::object document);  // any thread
  void watch_drops(rap_mesh_drop_fn run, void* user) { drops_ = {run, user}; }
  void mesh_drop(const std::string& session, const std::string& organization);

  std::uint32_t define_metric(Metric metric);  // 0: too many
  void record_metric(std::uint32_t id, double value);
  void report_health(const rap_health& health);

 private:
  static const void* get_extension(const rap_host* host, const char* id);
  static rap_result fail_call(const rap_host* host, rap_result code, const char* text);
  bool granted(std::string_view id) const;
  void tell_snapshot(const std::string& name);
  void tell_identity(const IdentityKey& key);

  struct Snapshot {
    std::shared_ptr<const std::string> json;  // null: not sent; also held by a call in progress
    rap_snapshot_fn run = nullptr;
    void* user = nullptr;
    bool due = false;  // `run` has not seen `json`
  };

  Loop& loop_;
  AgentLink& agent_;
  Watchdog& watchdog_;
  PluginHostOptions options_;
  std::unique_ptr<const boost::json::value> config_;
  rap_host host_{};
  rap_adapter* adapter_ = nullptr;
  std::string failure_;
  std::string stream_failure_;
  std::map<std::string, Snapshot> snapshots_;  // by name
  struct KnownIdentity {
    IdentityPtr identity;
    bool due = false;  // nobody was told of it yet
  };
  std::map<IdentityKey, KnownIdentity> identities_;
  std::map<std::uint32_t, std::pair<rap_identity_fn, void*>> identity_watches_;  // by kind
  std::pair<rap_mesh_drop_fn, void*> drops_{nullptr, nullptr};
  std::size_t deliveries_ = 0;  // not answered yet
  std::set<std::uint64_t> timers_;
  std::set<int> watched_;
  std::shared_ptr<bool> alive_ =
      std::make_shared<bool>(true);  // what is posted looks whether it is

  mutable std::mutex mutex_;  // guards what follows: RAP_ANY functions use it
  std::map<std::uint64_t, PendingStream> streams_;
  std::uint64_t next_stream_ = 1;
  std::vector<Metric> metrics_;
  std::unique_ptr<boost::json::object> report_;  // not sent yet
  std::optional<rap_health> reported_health_;
};

// "unreachable" for RAP_E_UNREACHABLE, and so on; static text.
const char* result_name(rap_result result);
// What a call to the agent ended with, in the ABI's words, and back for people.
rap_result to_result(Errc code);
Errc to_errc(rap_result result);

// The tables, each in the file of its extension.
extern const rap_host_log_1 kLogTable;
extern const rap_host_config_1 kConfigTable;
extern const rap_host_loop_1 kLoopTable;
extern const rap_host_stream_1 kStreamTable;
extern const rap_host_secret_1 kSecretTable;
extern const rap_host_session_1 kSessionTable;
extern const rap_host_metrics_1 kMetricsTable;
extern const rap_host_snapshot_1 kSnapshotTable;
extern const rap_host_state_dir_1 kStateDirTable;
extern const rap_host_health_1 kHealthTable;
extern const rap_host_identity_1 kIdentityTable;
extern const rap_host_mesh_1 kMeshTable;

// Empty for an empty text, whose pointer may be null.
inline std::string_view view(rap_str text) {
  return text.len > 0 ? std::string_view(text.ptr, text.len) : std::string_view();
}

}  // namespace rap::worker
