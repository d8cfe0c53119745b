#include "host/agent/supervise/zygote.hpp"

#include <algorithm>
#include <utility>

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/net/blocking_pool.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;
using std::chrono::steady_clock;

constexpr net::milliseconds kHelloTimeout{10'000};
constexpr net::milliseconds kLoadTimeout{30'000};  // a plugin that loads libfreerdp needs 0.05 s
constexpr net::milliseconds kForkTimeout{5'000};   // usually 0.5 ms
constexpr net::milliseconds kStopTimeout{5'000};
constexpr net::milliseconds kTermGrace{3'000};
// What is open in a workload that is being replaced may go on for so long; a new one has the
// sockets by then, unless it has to wait for the state directory.
constexpr net::milliseconds kDrainLimit{30'000};
// Of the mesh, whose successor waits for the port and the directory: what passes here goes
// elsewhere at the goodbye, and what ends here cannot go anywhere before the successor is there.
constexpr net::milliseconds kMeshDrainLimit{5'000};
constexpr int kReconnectTries = 5;

// 256 streams that are handed over (rap/ext/mesh.h), beside what any workload asks.
constexpr std::size_t kMeshRequestsMax = 256 + 24;

constexpr std::string_view kOffered[] = {"rap.host.log/1",     "rap.host.config/1",
                                         "rap.host.loop/1",    "rap.host.stream/1",
                                         "rap.host.metrics/1", "rap.host.health/1"};
// Secrets are resources': the control plane gives them out for a session.
constexpr std::string_view kOfferedToSessions[] = {"rap.host.secret/1", "rap.host.session/1"};
constexpr std::string_view kOfferedToWorkloads[] = {"rap.host.snapshot/1", "rap.host.state-dir/1"};

// What leads into the node, and the node's keys.
constexpr std::string_view kOfferedToTheMesh[] = {"rap.host.identity/1", "rap.host.mesh/1"};
constexpr std::string_view kNetNone = "net.none", kNetClient = "net.client";
// The mesh's: whoever fills another role gets streams from it, and no network.
constexpr std::string_view kNetworkRoles[] = {"core-mesh", "relay-node", "entry-node"};

template <typename List>
bool contains(const List& list, std::string_view word) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

bool offered(const loader::AdapterFacts& adapter, const std::string& extension) {
  if (contains(kOffered, extension)) return true;
  if (contains(kOfferedToTheMesh, extension)) return adapter.profile == kNetClient;
  return is_session_adapter(adapter) ? contains(kOfferedToSessions, extension)
                                     : contains(kOfferedToWorkloads, extension);
}

InstanceRecord record_of(const ZygoteSpec& spec) {
  InstanceRecord out;
  out.name = instance_name(spec);
  out.kind = InstanceKind::zygote;
  out.nonce = new_nonce();
  out.digest = spec.digest();
  out.organization = spec.organization;
  out.product = spec.release.manifest.product;
  out.version = spec.release.manifest.version;
  out.adapter = spec.adapter.id;
  out.assignment = spec.assignment_id;
  return out;
}

}  // namespace

bool ZygoteSpec::asks_for(std::string_view extension) const {
  return contains(adapter.needs, extension) || contains(adapter.wants, extension);
}

bool is_session_adapter(const loader::AdapterFacts& adapter) {
  return contains(adapter.provides, "rap.adapter.session/1");
}

std::string instance_name(const ZygoteSpec& spec) {
  std::string what = spec.digest() + "/" + spec.adapter.id + "/" + spec.organization + "/" +
                     spec.assignment_id + "/" + spec.config_json;
  return (spec.workload() ? "w-" : "z-") + to_hex(sha256(what)).substr(0, 12);
}

Result<std::vector<std::string>> grants_for(const loader::AdapterFacts& adapter) {
  std::vector<std::string> out;
  for (const std::string& need : adapter.needs) {
    if (!offered(adapter, need)) {
      return fail(Errc::unsupported, adapter.id + " needs " + need + ", which this agent has not");
    }
    out.push_back(need);
  }
  for (const std::string& want : adapter.wants) {
    if (offered(adapter, want)) out.push_back(want);
  }
  return out;
}

Status profile_for(const loader::AdapterFacts& adapter, std::string_view role) {
  if (adapter.profile == kNetNone) return {};
  if (adapter.profile != kNetClient) {
    return fail(Errc::unsupported, adapter.id + " asks for the sandbox profile " + adapter.profile +
                                       ", which this agent has not");
  }
  if (!contains(kNetworkRoles, role)) {
    return fail(Errc::forbidden, adapter.id +
                                     " asks for the sandbox profile net.client, which the role " +
                                     std::string(role) + " does not get");
  }
  if (is_session_adapter(adapter)) {
    return fail(Errc::forbidden, adapter.id + " has sessions; net.client is for workloads");
  }
  return {};
}

Zygote::Zygote(Context& context, LogCapture& logs, ZygoteSpec spec, Hooks hooks)
    : context_(context),
      logs_(logs),
      spec_(std::move(spec)),
      hooks_(std::move(hooks)),
      name_(instance_name(spec_)),
      policy_(RestartLimits{.restarts_max = context.config.restarts_max,
                            .window = context.config.restart_window}),
      ready_(context.executor),
      wake_(context.executor),
      joined_(RestartLimits{.restarts_max = context.config.restarts_max,
                            .window = context.config.restart_window}),
      joined_wake_(context.executor) {}

Zygote::~Zygote() = default;

void Zygote::set(WorkloadState state, std::string detail) {
  if (state == state_ && detail == detail_) return;
  // How well it is, is no line each time: the mesh tells how many peers it has.
  const bool news = state != WorkloadState::running || state_ != WorkloadState::running;
  state_ = state;
  detail_ = std::move(detail);
  const log::Level level = state == WorkloadState::failed ? log::Level::error : log::Level::info;
  if (news) {
    log::write(level, "workload state",
               {{"instance", name_},
                {"workload", spec_.release.manifest.product},
                {"organization", spec_.organization},
                {"version", spec_.release.manifest.version},
                {"state", agent::name(state_)},
                {"detail", detail_}});
  }
  if (hooks_.changed) hooks_.changed();
}

Status Zygote::adopt(InstanceRecord record) {
  auto process = Process::adopted(context_, std::move(record),
                                  [this](ipc::Message message) { on_message(std::move(message)); });
  if (!process) return fail(std::move(process.error()));
  logs_.reopen({name_, spec_.release.manifest.product, spec_.organization});
  process_ = std::move(*process);
  if (spec_.mesh()) process_->allow_requests(kMeshRequestsMax);
  return {};
}

void Zygote::start() {
  context_.tasks.spawn("zygote", run(shared_from_this()));
  if (spec_.mesh()) context_.tasks.spawn("adapters", arrange(shared_from_this()));
}

void Zygote::retry() {
  policy_.changed();
  wake_.set();
  joined_.retry();
  joined_wake_.set();
}

net::Task<void> Zygote::run(std::shared_ptr<Zygote> self) {
  Zygote& z = *self;
  while (!z.stopping_) {
    z.wake_.reset();
    Status up = co_await z.bring_up();
    if (up) {
      z.ready_.set();
      // What has changed while it was equipped.
      z.context_.tasks.spawn("documents", resend_documents(self));
      z.context_.tasks.spawn("identities", resend_identities(self));
      z.show_health();
      z.joined_wake_.set();
      z.tell_joined();
      co_await z.until_gone();
      z.ready_.reset();
      z.joined_.gone();
    }
    if (z.stopping_) break;
    if (std::exchange(z.handed_over_, false)) {
      z.process_.reset();
      z.set(WorkloadState::starting, "the plugin is not fork-safe: a process for each session");
      continue;
    }
    std::string reason = up ? "" : up.error().detail;
    if (z.process_ != nullptr) {
      const bool ended = co_await z.process_->ends_soon();
      if (ended && z.process_->exit_info().known() && !z.refused_for_good_) {
        reason = worker_end_text("the worker", z.process_->exit_info()) +
                 (reason.empty() ? "" : " (" + reason + ")");
      }
      if (!ended) co_await z.process_->terminate(kTermGrace);
      if (reason.empty()) reason = worker_end_text("the worker", z.process_->exit_info());
      if (!z.failure_.empty()) reason = std::exchange(z.failure_, "");
      z.process_.reset();
      z.services_.clear();
      z.health_ = {};
      z.documents_sent_.clear();
      z.identities_sent_.clear();
    }
    if (z.stopping_) break;
    if (!up && std::exchange(z.refused_for_good_, false)) {
      z.set(WorkloadState::degraded, reason + "; until its release or assignment changes");
      co_await z.wake_.wait();
      continue;
    }
    const auto wait = z.policy_.ended(steady_clock::now(), random_number());
    if (wait) {
      z.set(WorkloadState::starting, reason + "; starting again");
      co_await z.wake_.wait_for(*wait);
    } else {
      z.set(WorkloadState::failed, reason + "; given up after " +
                                       std::to_string(z.policy_.recent_ends()) +
                                       " tries, until its release or assignment changes");
      co_await z.wake_.wait();
    }
  }
  z.stopped_ = true;
  z.set(WorkloadState::stopped, "");
  if (z.hooks_.gave_way) z.hooks_.gave_way();
}

net::Task<Status> Zygote::bring_up() {
  if (process_ != nullptr) {  // adopted
    auto hello = co_await process_->connect(kHelloTimeout);
    if (!hello) co_return fail(hello.error(), "the adopted worker does not answer");
    read_layers(*hello);
    policy_.started(steady_clock::now());
    const json::value* loaded = hello->body->if_contains("loaded");
    if (loaded != nullptr && loaded->is_bool() && !loaded->get_bool()) {
      co_return co_await load_plugin();
    }
    if (spec_.workload()) co_return co_await equip(hello->body);
    co_await end_unknown_sessions(hello->body);
    co_return Status();
  }
  set(WorkloadState::starting, detail_);
  Status launched = co_await launch();
  if (!launched) co_return launched;
  co_return co_await load_plugin();
}

net::Task<Status> Zygote::launch() {
  // The digest and the ELF rules are checked on the very bytes the worker gets.
  const ArtifactStore store(context_.state.store());
  auto work = [store, digest = spec_.digest(), manifest = spec_.release.manifest] {
    return store.load(digest, manifest);
  };
  auto sealed = co_await net::run_blocking(context_.pool, std::move(work));
  if (!sealed) {
    ++context_.counters.artifacts_refused;
    log::error("artifact refused", {{"workload", spec_.release.manifest.product},
                                    {"sha256", spec_.digest()},
                                    {"detail", sealed.error().text()}});
    if (hooks_.artifact_refused) {
      hooks_.artifact_refused(spec_.release.manifest.product + " " + spec_.release.manifest.version,
                              sealed.error().text());
    }
    const Errc code = sealed.error().code;
    if ((code == Errc::mismatch || code == Errc::not_found) && hooks_.artifact_bad) {
      hooks_.artifact_bad();
    }
    co_return fail(std::move(sealed.error()));
  }
  process_ = std::make_unique<Process>(
      context_, record_of(spec_), [this](ipc::Message message) { on_message(std::move(message)); });
  if (spec_.mesh()) process_->allow_requests(kMeshRequestsMax);
  const int artifact = sealed->fd.get();
  std::vector<std::pair<int, int>> extra{{4, artifact}};
  Fd state;
  std::vector<std::string> flags;
  if (spec_.adapter.profile == kNetClient) flags.emplace_back("--network");
  if (spec_.workload() && spec_.asks_for("rap.host.state-dir/1")) {
    auto directory =
        open_workload_directory(context_.state, spec_.assignment_id, spec_.organization);
    if (!directory) co_return fail(std::move(directory.error()));
    state = std::move(*directory);
    extra.emplace_back(6, state.get());
    flags.emplace_back("--state-directory");
  }
  Status started = process_->start(logs_, context_.config.worker_path, std::move(extra), flags);
  if (!started) {
    process_.reset();
    co_return started;
  }
  policy_.started(steady_clock::now());
  auto hello = co_await process_->connect(kHelloTimeout);
  if (!hello) co_return fail(hello.error(), "the worker does not answer");
  co_return Status();
}

net::Task<Status> Zygote::load_plugin() {
  auto grants = grants_for(spec_.adapter);
  if (!grants) co_return fail(std::move(grants.error()));
  json::array granted;
  for (const std::string& grant : *grants) granted.emplace_back(grant);
  auto config = parse_json(spec_.config_json);
  auto manifest = parse_json(spec_.release.manifest_text);
  if (!config || !manifest) co_return fail(Errc::internal, "config or manifest do not parse");
  json::object body{{"op", "load"},
                    {"sha256", spec_.digest()},
                    {"length", spec_.release.artifact_length},
                    {"adapter", spec_.adapter.id},
                    {"manifest", std::move(*manifest)},
                    {"grants", std::move(granted)},
                    {"organization", spec_.organization},
                    {"config", std::move(*config)},
                    {"mode", spec_.workload() ? "workload" : "session"}};
  std::vector<Fd> none;
  auto answer = co_await process_->call(body, std::move(none), kLoadTimeout);
  if (!answer) {
    // The same configuration gets the same answer, however often it is tried.
    refused_for_good_ = answer.error().code == Errc::invalid;
    co_return fail(answer.error(), "the plugin was refused");
  }
  read_layers(*answer);
  if (spec_.workload()) co_return co_await equip(answer->body);
  co_return Status();
}

net::Task<void> Zygote::end_unknown_sessions(ipc::JsonPtr status) {
  const auto sessions = json_array(*status, "sessions");
  if (!sessions || !hooks_.knows_session) co_return;
  for (const json::value& item : **sessions) {
    if (!item.is_object()) continue;
    const std::string session = json_string_or_none(item.get_object(), "session").value_or("");
    if (hooks_.knows_session(session)) continue;
    log::warn("ending a session that has no record", {{"instance", name_}, {"session", session}});
    json::object body{{"op", "end"}, {"session", session}};
    std::vector<Fd> none;
    auto ended = co_await process_->call(body, std::move(none), kStopTimeout);
    if (!ended) {
      log::warn("session not ended", {{"session", session}, {"detail", ended.error().text()}});
    }
  }
}

void Zygote::read_layers(const ipc::Message& answer) {
  auto layers = json_array(*answer.body, "layers");
  if (!layers) return;
  layers_.clear();
  for (const json::value& item : **layers) {
    if (!item.is_object()) continue;
    const json::object& layer = item.get_object();
    layers_.push_back({json_string_or_none(layer, "name").value_or(""),
                       json_string_or_none(layer, "state").value_or(""),
                       json_string_or_none(layer, "detail").value_or("")});
  }
}

net::Task<void> Zygote::until_gone() {
  int failures = 0;
  while (process_->running() && failures < kReconnectTries) {
    co_await process_->disconnected().wait();
    if (handed_over_) co_return;
    const bool ended = co_await process_->ends_soon();
    if (ended || stopping_) co_return;
    // Alive and not connected: its socket is still there.
    auto hello = co_await process_->connect(kHelloTimeout);
    if (hello && spec_.workload()) {
      // What was lost with the connection.
      Status equipped = co_await equip(hello->body);
      if (!equipped) {
        log::warn("worker not equipped",
                  {{"instance", name_}, {"detail", equipped.error().text()}});
      }
    }
    if (hello) {
      failures = 0;
      continue;
    }
    ++failures;
    co_await process_->exited().wait_for(net::milliseconds(500));
  }
}

void Zygote::on_message(ipc::Message message) {
  if (message.op == "exited") {
    ExitInfo how;
    how.code = static_cast<int>(json_int_or_none(*message.body, "exit_code").value_or(-1));
    how.signal = static_cast<int>(json_int_or_none(*message.body, "signal").value_or(0));
    const auto session = json_string_or_none(*message.body, "session");
    if (session && hooks_.session_exited) hooks_.session_exited(*session, how);
    if (const auto seq = json_int_or_none(*message.body, "event_seq")) process_->ack(*seq);
    return;
  }
  if (message.op == "log") {
    // A line that a session printed.
    if (!keep_line(lines_, context_.counters, name_)) return;
    const CapturedLine line =
        parse_captured_line(json_string_or_none(*message.body, "message").value_or(""));
    log::write(log::level_from_name(line.level), line.message,
               {{"instance", name_},
                {"workload", spec_.release.manifest.product},
                {"organization", spec_.organization},
                {"session", json_string_or_none(*message.body, "session").value_or("")},
                {"worker_fields", line.fields}});
    return;
  }
  if (spec_.workload() && message.op == "health") return on_health(*message.body);
  if (spec_.workload() && message.op == "adapter_ended") {
    joined_.ended(json_string_or_none(*message.body, "adapter").value_or(""), steady_clock::now(),
                  random_number());
    note_joined(joined_.records());
    joined_wake_.set();
    return;
  }
  if (spec_.workload() && message.op == "stream.open" && message.id) {
    context_.tasks.spawn("stream.open", stream_open(shared_from_this(), std::move(message)));
    return;
  }
  if (spec_.mesh() && message.op == "mesh_report") {
    const auto report = json_object(*message.body, "report");
    if (report && hooks_.mesh_report) hooks_.mesh_report(**report);
    return;
  }
  if (spec_.mesh() && message.op == "stream" && message.id && hooks_.mesh_stream) {
    return on_mesh_stream(std::move(message));
  }
  if (message.id) process_->refuse(*message.id, Error{Errc::unsupported, message.op});
}

net::Task<bool> Zygote::wait_ready(net::milliseconds limit) {
  if (state_ == WorkloadState::failed || stopping_) co_return false;
  co_return co_await ready_.wait_for(limit);
}

net::Task<Result<Fd>> Zygote::fork(const std::string& session, Fd listening) {
  if (process_ == nullptr || !ready_.is_set()) {
    co_return fail(Errc::unavailable, "the worker is not ready: " + detail_);
  }
  json::object body{{"op", "fork"}, {"session", session}};
  std::vector<Fd> fds;
  fds.push_back(std::move(listening));
  auto answer = co_await process_->call(body, std::move(fds), kForkTimeout);
  if (!answer) co_return fail(std::move(answer.error()));
  if (answer->fds.size() != 1) co_return fail(Errc::malformed, "fork: no pidfd in the answer");
  const json::value* in_place = answer->body->if_contains("in_place");
  if (in_place != nullptr && in_place->is_bool() && in_place->get_bool()) {
    // This very process is the session now; the next one needs another.
    handed_over_ = true;
    ready_.reset();
    process_->hand_over();
  }
  co_return std::move(answer->fds.front());
}

net::Task<Status> Zygote::stop(Force force) {
  // Held until the end of this call, whoever else lets go.
  const auto self = shared_from_this();
  const net::milliseconds limit = spec_.mesh() ? kMeshDrainLimit : kDrainLimit;
  if (process_ != nullptr && process_->connected()) {
    json::object body{{"op", "stop"}};
    if (force == Force::yes) body["force"] = true;
    if (force == Force::no && spec_.workload()) body["drain_ms"] = limit.count();
    std::vector<Fd> none;
    auto answer = co_await process_->call(body, std::move(none), kStopTimeout);
    if (!answer && force == Force::no) co_return fail(std::move(answer.error()));
  }
  stopping_ = true;
  wake_.set();
  joined_wake_.set();
  if (spec_.workload()) {
    draining_ = true;
    if (hooks_.gave_way) hooks_.gave_way();
  }
  if (process_ != nullptr) {
    const bool drains = spec_.workload() && force == Force::no;
    co_await process_->exited().wait_for(drains ? limit + kStopTimeout : kStopTimeout);
    if (process_ != nullptr && process_->running()) co_await process_->terminate(kTermGrace);
  }
  co_return Status();
}

}  // namespace rap::agent
