#include "host/agent/run/agent.hpp"

#include <algorithm>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/log.hpp"
#include "base/net/http.hpp"
#include "base/net/timer.hpp"
#include "host/agent/control/enroll.hpp"
#include "host/agent/state/floor.hpp"
#include "host/agent/version.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

constexpr net::milliseconds kCallDeadline{20'000};
// Wishes come at once by the long poll; this only bounds how old the metadata may become. The
// director's timestamp lives for an hour.
constexpr net::milliseconds kSyncInterval{15 * 60'000};
constexpr net::milliseconds kRetryInterval{30'000};  // two small requests, while a role cannot run
constexpr net::milliseconds kPollWait{25'000};

// Of [{"session_id": "..", "user_id": ".."}, ..]; what has another shape is left out.
std::set<std::pair<std::string, std::string>> people_to_detach(const json::object& body) {
  std::set<std::pair<std::string, std::string>> out;
  const auto items = json_array(body, "detach");
  if (!items) return out;  // an older control plane
  for (const json::value& item : **items) {
    if (!item.is_object()) continue;
    const auto session = json_string_or_none(item.get_object(), "session_id");
    const auto user = json_string_or_none(item.get_object(), "user_id");
    if (session && user) out.emplace(*session, *user);
  }
  return out;
}

}  // namespace

Agent::Agent(Context& context, Identity identity, ServerAddress server, HostAbilities abilities,
             Facts facts, Outbox outbox, Outbox node_outbox)
    : context_(context),
      identity_(std::move(identity)),
      server_(std::move(server)),
      abilities_(std::move(abilities)),
      facts_(std::move(facts)),
      control_(context.executor),
      events_(context, control_, std::move(outbox)),
      node_events_(context, control_, std::move(node_outbox)),
      logs_(context),
      workloads_(
          context, logs_,
          {[this] { beat_now_.set(); }, [this] { sync_wanted_.set(); },
           [this](std::string session, ExitInfo how) { broker_.session_exited(session, how); },
           [this](const std::string& zygote) { return broker_.sessions_in(zygote); },
           [this](std::string product, std::string detail) {
             node_events_.report(NodeEventKind::artifact_refused, product, detail);
           },
           [this](std::string role, std::string organization, std::string target,
                  net::milliseconds limit) {
             return SessionBroker::open_for_workload(
                 broker_, std::move(role), std::move(organization), std::move(target), limit);
           },
           [this](const std::string& session) { return broker_.knows(session); },
           [this](MeshStream stream) { broker_.on_mesh_stream(std::move(stream)); },
           [this](json::object report) {
             mesh_reports_.take(std::move(report), workloads_.mesh_endpoints());
           }}),
      listener_(std::make_shared<MeshListener>(
          context, logs_,
          [this](std::int64_t id, ipc::JsonPtr claims, std::string from, Fd stream) {
            broker_.on_stream(id, std::move(claims), std::move(from), std::move(stream));
          },
          [this] { beat_now_.set(); })),
      broker_({context, control_, events_, workloads_, *listener_, [this] { return applied_; },
               [this] { return sync(SyncInput::Scope::director_only); },
               [this] { return identities_; }}),
      mesh_certificates_(context, control_,
                         {[this] {
                            return MeshCertificates::Node{identity_.cluster_id, identity_.node_id,
                                                          identity_.cluster_ca_pem};
                          },
                          [this](MeshHandPtr identities) {
                            identities_ = identities;
                            workloads_.set_identities(std::move(identities));
                          }}),
      mesh_reports_(context, control_),
      sync_wanted_(context.executor),
      sync_done_(context.executor),
      beat_now_(context.executor) {}

Agent::~Agent() = default;

net::TlsIdentity Agent::tls_identity() const {
  return {identity_.certificate_pem, identity_.key_pem};
}

void Agent::start() {
  if (Status ready = control_.connect_to(server_, tls_identity()); !ready) {
    control_state_.trouble = ready.error().text();
    log::error("control plane cannot be used", {{"detail", control_state_.trouble}});
  }
  if (Status good = check_node_certificate(identity_, RealClock().now()); !good) {
    log::error("node certificate is not usable now", {{"detail", good.error().text()}});
  }
  auto floor = read_floor(context_.state.floor());
  if (floor && floor->clock_unix_s > to_unix_seconds(RealClock().now()) + 300) {
    log::error("the clock of this host is wrong",
               {{"clock", to_rfc3339(RealClock().now())},
                {"already_was", to_rfc3339(from_unix_seconds(floor->clock_unix_s))}});
    node_events_.report(NodeEventKind::clock_wrong, "clock",
                        "it says " + to_rfc3339(RealClock().now()) + ", and already was " +
                            to_rfc3339(from_unix_seconds(floor->clock_unix_s)));
  }
  const NodeScope scope{identity_.cluster_id, identity_.node_id, floor ? floor->authority_term : 0};
  auto stored = read_applied(context_.state, scope);
  if (stored) applied_ = std::make_shared<const Applied>(std::move(*stored));
  if (!stored && stored.error().code != Errc::not_found) {
    log::error("stored snapshots are not used", {{"detail", stored.error().text()}});
  }
  adopt_processes();
  listener_->start();
  if (applied_ != nullptr) apply(applied_);
  context_.tasks.spawn("session events", events_.run());
  context_.tasks.spawn("node events", node_events_.run());
  context_.tasks.spawn("sync", sync_loop());
  context_.tasks.spawn("desired", desired_loop());
  context_.tasks.spawn("heartbeat", heartbeat_loop());
  context_.tasks.spawn("certificate", rotation_loop());
  context_.tasks.spawn("mesh certificates", mesh_certificates_.run());
  context_.tasks.spawn("mesh reports", mesh_reports_.run());
}

void Agent::adopt_processes() {
  std::vector<std::string> damaged;
  const auto records = context_.records.read_all(damaged);
  for (const std::string& file : damaged) {
    log::error("damaged instance record moved aside", {{"file", file}});
  }
  // Zygotes first: their sessions refer to them.
  for (const InstanceRecord& record : records) {
    if (record.kind == InstanceKind::zygote) workloads_.adopt(record, applied_.get());
  }
  for (const InstanceRecord& record : records) {
    if (record.kind == InstanceKind::session) broker_.adopt(record);
    if (record.kind == InstanceKind::listener) {
      if (Status adopted = listener_->adopt(record); !adopted) {
        log::warn("listener of an earlier agent is gone", {{"detail", adopted.error().detail}});
      }
    }
  }
}

void Agent::apply(AppliedPtr applied) {
  applied_ = std::move(applied);
  workloads_.apply(applied_);
  mesh_certificates_.want(mesh_uses(workloads_.plan()));
  configure_listener();
  beat_now_.set();
}

void Agent::configure_listener() {
  if (applied_ == nullptr) return;
  ListenerSettings settings;
  settings.identity = tls_identity();
  settings.cluster_ca_pem = applied_->membership.cluster_ca_pem;
  settings.cluster_id = identity_.cluster_id;
  settings.node_id = identity_.node_id;
  // A node that is not active opens nothing new: without keys no lease is valid.
  if (applied_->membership.status == NodeStatus::active) {
    settings.lease_keys = applied_->access.lease_keys;
  }
  listener_->configure(std::move(settings));
}

std::string Agent::mesh_endpoint() const {
  return context_.config.mesh_advertise.empty() ? listener_->endpoint()
                                                : context_.config.mesh_advertise;
}

void Agent::note_contact(const Status& status) {
  if (status) {
    if (!control_state_.reached) log::info("control plane reached", {{"server", server_.base_url}});
    control_state_.reached = true;
    control_state_.trouble.clear();
    control_state_.shut_out.clear();
    control_state_.clock_suspect = false;
    control_state_.last_contact = RealClock().now();
    // It works again with the very certificate that had seemed over.
    if (seemed_over_ == identity_.certificate_pem) {
      node_events_.report(NodeEventKind::clock_wrong, "clock",
                          "by it the node certificate had ended, and it has not");
    }
    seemed_over_.clear();
    return;
  }
  const std::string text = status.error().text();
  const bool news = control_state_.reached || control_state_.trouble != text;
  if (status.error().code == Errc::forbidden) {
    if (news) log::error("shut out by the control plane", {{"detail", status.error().detail}});
    control_state_.shut_out = status.error().detail;  // also while it cannot be asked again
  } else if (news) {
    log::warn("control plane not reached", {{"server", server_.base_url}, {"detail", text}});
  }
  control_state_.reached = false;
  control_state_.trouble = text;
  control_state_.clock_suspect = status.error().code == Errc::expired;
  if (!control_state_.clock_suspect) return;
  // A certificate that has ended by this host's own clock: only later is it known which is wrong.
  if (certificate_trouble()) {
    seemed_over_ = identity_.certificate_pem;
  } else {
    node_events_.report(NodeEventKind::clock_wrong, "clock", text);
  }
}

// ---- snapshots

net::Task<bool> Agent::sync(SyncInput::Scope scope) {
  while (syncing_) co_await sync_done_.wait();
  syncing_ = true;
  sync_done_.reset();
  SyncInput input;
  input.state = context_.state;
  input.release_root = context_.config.release_root;
  input.server = server_;
  input.identity = tls_identity();
  input.cluster_id = identity_.cluster_id;
  input.node_id = identity_.node_id;
  input.director_root = identity_.director_root;
  input.previous = applied_;
  input.scope = scope;
  auto work = [input = std::move(input)] { return sync_snapshots(input); };
  auto result = co_await net::run_blocking(context_.pool, std::move(work));
  syncing_ = false;
  sync_done_.set();
  if (!result) {
    ++context_.counters.syncs_failed;
    if (sync_trouble_ != result.error().text()) {
      log::warn("snapshots not refreshed", {{"detail", result.error().text()}});
    }
    sync_trouble_ = result.error().text();
    if (is_refusal(result.error().code)) {
      node_events_.report(NodeEventKind::metadata_refused, "director", sync_trouble_);
    }
    co_return false;
  }
  ++context_.counters.syncs;
  tell_refused(*result);
  if (result->release_trouble != release_trouble_ && !result->release_trouble.empty()) {
    log::warn("releases not refreshed; those in force stay", {{"detail", result->release_trouble}});
  }
  if (!result->release_trouble.empty()) ++context_.counters.release_syncs_failed;
  // What was not looked at is not known to be well.
  if (scope == SyncInput::Scope::everything || !result->release_trouble.empty()) {
    release_trouble_ = result->release_trouble;
  }
  if (!sync_trouble_.empty()) log::info("snapshots refreshed again");
  sync_trouble_.clear();
  last_sync_ = RealClock().now();
  const bool first = applied_ == nullptr;
  if (first || applied_->director_version != result->applied->director_version) {
    log::info("snapshots applied", {{"director_version", result->applied->director_version},
                                    {"assignments", result->applied->roles.size()},
                                    {"resources", result->applied->access.resources.size()}});
  }
  apply(result->applied);
  co_return true;
}

void Agent::tell_refused(const SyncOutput& output) {
  const Access& access = output.applied->access;
  if (access.left_out > 0) {
    node_events_.report(NodeEventKind::metadata_refused, "director",
                        "resources left out: " + std::to_string(access.left_out) +
                            "; the first: " + access.left_out_why);
  }
  if (!output.release_trouble.empty() && is_refusal(output.release_trouble_code)) {
    node_events_.report(NodeEventKind::metadata_refused, "release", output.release_trouble);
  }
  for (const auto& [key, release] : output.applied->releases) {
    if (release || !is_refusal(release.error().code)) continue;
    // The repository as a whole was refused: that is said above, once.
    if (is_refusal(output.release_trouble_code)) continue;
    node_events_.report(NodeEventKind::artifact_refused, key.first + " " + key.second,
                        release.error().text());
  }
}

net::milliseconds Agent::until_next_sync() const {
  if (applied_ == nullptr) return net::milliseconds(0);
  // What Version Storage served wrong may be right in a moment; a mirror heals without our being
  // told.
  if (workloads_.lacks_artifacts()) return kRetryInterval;
  // Well before the director's word expires, but never in a rush.
  const auto left = std::chrono::duration_cast<net::milliseconds>(applied_->director_expires -
                                                                  RealClock().now()) /
                    2;
  return std::clamp<net::milliseconds>(left, seconds(30), kSyncInterval);
}

net::Task<void> Agent::sync_loop() {
  Backoff backoff(seconds(1), seconds(60));
  bool done = false;  // the first one follows the start at once
  while (true) {
    if (done) co_await sync_wanted_.wait_for(until_next_sync());
    sync_wanted_.reset();
    done = co_await sync(SyncInput::Scope::everything);
    if (done) {
      backoff.reset();
      workloads_.retry_failed();
      continue;
    }
    const auto wait = backoff.next(random_bytes(1).front() * 7919u);
    co_await sync_wanted_.wait_for(wait);
  }
}

// ---- desired state

net::Task<void> Agent::desired_loop() {
  Backoff backoff(seconds(1), seconds(60));
  while (true) {
    std::string target = "/v1/node/desired?seen=" + std::to_string(control_state_.desired_seq) +
                         "&wait_ms=" + std::to_string(kPollWait.count());
    auto answer = co_await control_.get(std::move(target), kPollWait + kCallDeadline);
    if (!answer || !answer->is_object()) {
      note_contact(answer ? Status(fail(Errc::malformed, "desired"))
                          : Status(fail(answer.error())));
      const auto wait = backoff.next(random_bytes(1).front() * 7919u);
      co_await net::sleep_for(wait);
      continue;
    }
    backoff.reset();
    note_contact({});
    const json::object& body = answer->get_object();
    control_state_.desired_seq = json_int_or_none(body, "seq").value_or(control_state_.desired_seq);
    const std::int64_t version = json_int_or_none(body, "director_version").value_or(0);
    if (applied_ == nullptr || version > applied_->director_version) sync_wanted_.set();
    broker_.bar(people_to_detach(body));
    auto closing = json_array(body, "close_sessions");
    if (!closing) continue;
    for (const json::value& item : **closing) {
      if (!item.is_object()) continue;
      const auto session = json_string_or_none(item.get_object(), "session_id");
      const auto by = json_string_or_none(item.get_object(), "by").value_or("");
      if (session) context_.tasks.spawn("close session", broker_.close(*session, by));
    }
  }
}

// ---- heartbeat

void Agent::tell_workloads(const std::vector<WorkloadReport>& reports) {
  std::set<std::string> failed;
  for (const WorkloadReport& report : reports) {
    const bool was = failed_workloads_.contains(report.assignment_id);
    if (report.state == WorkloadState::failed) {
      if (!was) {
        node_events_.report(NodeEventKind::workload_failed, report.assignment_id,
                            report.role + " " + report.version + ": " + report.detail);
      }
      failed.insert(report.assignment_id);
    } else if (was && report.state == WorkloadState::running) {
      node_events_.report(NodeEventKind::workload_recovered, report.assignment_id,
                          report.role + " " + report.version);
    } else if (was) {
      failed.insert(report.assignment_id);  // starting again is not back yet
    }
  }
  failed_workloads_ = std::move(failed);
}

void Agent::tell_sandbox() {
  std::string missing;
  for (const SandboxLayer& layer : workloads_.sandbox_layers()) {
    if (layer.state != "active")
      missing += (missing.empty() ? "" : ", ") + layer.name + ": " + layer.state + " (" +
                 layer.detail + ")";
  }
  if (missing == sandbox_missing_) return;
  sandbox_missing_ = missing;
  if (!missing.empty()) {
    node_events_.report(NodeEventKind::sandbox_degraded, "sandbox",
                        "workers run without " + missing);
  }
}

json::object Agent::heartbeat_body() {
  const Load load = load_.sample();
  json::array capabilities;
  for (const Capability& entry : abilities_.capabilities) {
    capabilities.push_back(json::object{{"name", entry.name}, {"detail", entry.detail}});
  }
  json::array layers;
  for (const Capability& entry : abilities_.sandbox_layers) {
    layers.push_back(json::object{{"name", entry.name}, {"detail", entry.detail}});
  }
  const auto reports = workloads_.report();
  tell_workloads(reports);
  tell_sandbox();
  json::array workloads;
  for (const WorkloadReport& report : reports) {
    json::object entry{{"assignment_id", report.assignment_id},
                       {"role", report.role},
                       {"state", name(report.state)},
                       {"detail", report.detail},
                       {"version", report.version}};
    if (report.pid > 0) entry["pid"] = report.pid;
    workloads.push_back(std::move(entry));
  }
  json::array sessions;
  for (const SessionReport& report : broker_.report()) {
    json::object entry{{"session_id", report.session_id},
                       {"state", report.state},
                       {"detail", report.detail},
                       {"viewers", report.viewers}};
    if (!report.controller.empty()) entry["controller"] = report.controller;
    sessions.push_back(std::move(entry));
  }
  return {{"boot_id", facts_.boot_id},
          {"sent_at", to_rfc3339(RealClock().now())},
          {"agent_version", kAgentVersion},
          {"mesh_endpoint", mesh_endpoint()},
          {"load",
           {{"cpu", load.cpu},
            {"memory_used_kb", load.memory_used_kb},
            {"memory_total_kb", load.memory_total_kb}}},
          {"capabilities", std::move(capabilities)},
          {"sandbox_layers", std::move(layers)},
          {"workloads", std::move(workloads)},
          {"sessions", std::move(sessions)},
          {"director_version", applied_ ? applied_->director_version : 0}};
}

net::Task<Result<std::chrono::milliseconds>> Agent::send_heartbeat() {
  const json::object body = heartbeat_body();
  auto answer = co_await control_.post("/v1/node/heartbeat", body, kCallDeadline);
  if (!answer) co_return fail(std::move(answer.error()));
  const json::object* object = answer->if_object();
  if (object == nullptr) co_return fail(Errc::malformed, "heartbeat: want an object");
  const auto server_time = from_rfc3339(json_string_or_none(*object, "server_time").value_or(""));
  if (server_time) {
    const auto difference =
        std::chrono::duration_cast<seconds>(*server_time - RealClock().now()).count();
    if (std::abs(difference) > 60 && std::abs(control_state_.clock_difference_s) <= 60) {
      log::warn("the clock of this host differs from the control plane's",
                {{"difference_s", difference}});
      node_events_.report(
          NodeEventKind::clock_wrong, "clock",
          "the control plane's clock is " + std::to_string(difference) + " s ahead of this host's");
    }
    control_state_.clock_difference_s = difference;
  }
  const net::milliseconds proposed(json_int_or_none(*object, "interval_ms").value_or(0));
  co_return std::clamp(proposed, context_.config.heartbeat_min, context_.config.heartbeat_max);
}

net::Task<void> Agent::heartbeat_loop() {
  Backoff backoff(seconds(1), context_.config.heartbeat_max);
  // A node that was restarted must not say for a moment that it cannot be reached.
  for (int i = 0; i < 60 && applied_ != nullptr && mesh_endpoint().empty(); ++i) {
    co_await net::sleep_for(net::milliseconds(50));
  }
  while (true) {
    beat_now_.reset();
    auto sent = co_await send_heartbeat();
    note_contact(sent ? Status() : Status(fail(sent.error())));
    if (!sent) {
      ++context_.counters.heartbeats_failed;
      const auto wait = backoff.next(random_bytes(1).front() * 7919u);
      co_await net::sleep_for(wait);
      continue;
    }
    ++context_.counters.heartbeats;
    backoff.reset();
    // A change is told soon, but a flapping worker must not become a flood.
    const auto pause = std::min<net::milliseconds>(*sent, seconds(1));
    co_await net::sleep_for(pause);
    co_await beat_now_.wait_for(*sent - pause);
  }
}

// ---- stop

net::Task<void> Agent::stop_all() {
  log::info("stopping sessions, workers and listener");
  co_await broker_.stop_all();
  co_await workloads_.stop_all();
  co_await listener_->stop();
}

}  // namespace rap::agent
