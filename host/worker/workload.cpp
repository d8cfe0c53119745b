#include "host/worker/workload.hpp"

#include <algorithm>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "host/loader/sealed_memfd.hpp"
#include "host/worker/report_json.hpp"

namespace rap::worker {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

// How old what the agent knows may be; a heartbeat comes every 5 to 60 s.
constexpr auto kHealthEvery = 5s;
// What the agent itself takes for a snapshot.
constexpr std::uint64_t kSnapshotBytesMax = 16u << 20;
// A workload that drains longer holds back the update that waits for it.
constexpr std::int64_t kDrainMsMax = 10 * 60 * 1000;

// The bytes of a sealed memfd that came with a message.
Result<loader::SealedMapping> sealed_bytes(ipc::Message& message, std::uint64_t limit) {
  auto fd = only_fd(message);
  if (!fd) return fail(fd.error());
  auto sealed = loader::adopt_sealed(*std::move(fd), limit);
  if (!sealed) return fail(sealed.error(), message.op);
  auto mapping = loader::SealedMapping::map(sealed->fd.get());
  if (!mapping) return fail(mapping.error(), message.op);
  return mapping;
}

}  // namespace

Workload::Workload(Loop& loop, ipc::IpcServer& server, WorkloadStart start,
                   std::function<void()> ended)
    : loop_(loop), server_(server), start_(std::move(start)), ended_(std::move(ended)) {}

Status Workload::start(const AdapterRequest& request, const Admitted& admitted) {
  first_ = request.adapter;
  if (auto made = create(request, admitted); !made) return made;
  loop_.timer(kHealthEvery, kHealthEvery, [this] {
    for (const auto& [id, adapter] : adapters_) adapter->look();
  });
  return {};
}

// ---- adapters that come and go ----
Status Workload::create(const AdapterRequest& request, const Admitted& admitted) {
  const std::string id = request.adapter;
  if (adapters_.contains(id)) return fail(Errc::conflict, id + " is there already");
  PluginHostOptions options;
  options.grants = admitted.grants;
  options.config = request.config;
  options.organization = start_.organization;
  options.state_directory = start_.library->kept.state_directory;
  AgentLink& link = *this;
  auto made = std::make_unique<WorkloadAdapter>(
      loop_, server_, link, watchdog_, id, std::move(options), [this, id] { adapter_ended(id); });
  PluginHost& host = made->host();
  for (const auto& [name, text] : documents_) host.set_snapshot(name, text);
  for (const auto& [key, identity] : identities_) host.set_identity(identity);
  if (auto started = made->start(*start_.library->plugin); !started) return started;
  adapters_.emplace(id, std::move(made));
  return {};
}

Result<json::object> Workload::add(const json::object& body) {
  if (draining_) return fail(Errc::unavailable, "draining");
  auto request = parse_adapter(body);
  if (!request) return fail(request.error());
  auto admitted = admit(*start_.library, *request);
  if (!admitted) return fail(admitted.error());
  if (auto made = create(*request, *admitted); !made) return fail(made.error());
  json::object answer;
  add_status(answer);
  return answer;
}

Result<json::object> Workload::remove(const json::object& body) {
  auto id = json_string(body, "adapter");
  if (!id) return fail(id.error());
  const auto at = adapters_.find(*id);
  if (at == adapters_.end()) return fail(Errc::not_found, "adapter " + *id);
  const std::int64_t drain_ms =
      std::clamp<std::int64_t>(json_int_or_none(body, "drain_ms").value_or(0), 0, kDrainMsMax);
  if (drain_ms == 0) {
    at->second->stop();
  } else {
    at->second->drain(std::chrono::milliseconds(drain_ms));
  }
  return json::object{};
}

void Workload::adapter_ended(const std::string& id) {
  // Later: the adapter is in the middle of its own stop().
  loop_.post([this, id] {
    const auto at = adapters_.find(id);
    if (at == adapters_.end() || at->second->host().adapter() != nullptr) return;
    accepted_ += at->second->accepted();
    refused_ += at->second->refused();
    adapters_.erase(at);
    const json::object note = {{"op", "adapter_ended"}, {"adapter", id}};
    server_.send_note(note);
    if (adapters_.empty()) ended_();
  });
}

Result<WorkloadAdapter*> Workload::adapter_of(const json::object& body) {
  if (adapters_.empty()) return fail(Errc::unavailable, "no adapter is left");
  const auto named = json_string_or_none(body, "adapter");
  auto at = adapters_.find(named ? *named : first_);
  if (!named && at == adapters_.end()) at = adapters_.begin();
  if (at == adapters_.end()) return fail(Errc::not_found, "adapter " + *named);
  return at->second.get();
}

// ---- requests ----
Result<std::optional<json::object>> Workload::on_request(ipc::IpcServer::RequestId request,
                                                         ipc::Message& message) {
  const json::object& body = *message.body;
  std::optional<Result<json::object>> done;
  if (message.op == "adapter.add") done = add(body);
  if (message.op == "adapter.remove") done = remove(body);
  if (message.op == "snapshot") done = snapshot(message);
  if (message.op == "identity") done = identity(message);
  if (message.op == "mesh.drop") done = mesh_drop(body);
  if (!done) {
    auto adapter = adapter_of(body);
    if (!adapter) return fail(adapter.error());
    return (*adapter)->on_request(request, message);
  }
  if (!*done) return fail(done->error());
  return std::optional<json::object>(**std::move(done));
}

Result<json::object> Workload::snapshot(ipc::Message& message) {
  auto name = json_string(*message.body, "name");
  if (!name) return fail(name.error());
  auto mapping = sealed_bytes(message, kSnapshotBytesMax);
  if (!mapping) return fail(mapping.error());
  const std::string_view text = as_text(mapping->bytes());
  const JsonLimits limits{.bytes_max = kSnapshotBytesMax, .depth_max = 32};
  if (auto document = parse_json(text, limits); !document)
    return fail(document.error(), "snapshot");
  const auto shared = std::make_shared<const std::string>(text);
  documents_[*name] = shared;
  for (const auto& [id, adapter] : adapters_) adapter->host().set_snapshot(*name, shared);
  return json::object{};
}

Result<json::object> Workload::identity(ipc::Message& message) {
  std::optional<loader::SealedMapping> mapping;
  if (!message.fds.empty()) {
    auto given = sealed_bytes(message, kIdentityBytesMax);
    if (!given) return fail(given.error());
    mapping = *std::move(given);
  }
  auto made = parse_identity(*message.body, mapping ? mapping->bytes() : ByteView());
  if (!made) return fail(made.error());
  const IdentityKey key{(*made)->kind, (*made)->organization};
  if (!identities_.contains(key) && identities_.size() >= kIdentitiesMax) {
    return fail(Errc::exhausted, "identities");
  }
  for (const auto& [id, adapter] : adapters_) adapter->host().set_identity(*made);
  if ((*made)->withdrawn()) {
    identities_.erase(key);
  } else {
    identities_[key] = *std::move(made);
  }
  return json::object{};
}

Result<json::object> Workload::mesh_drop(const json::object& body) {
  const std::string session = json_string_or_none(body, "session").value_or("");
  const std::string organization = json_string_or_none(body, "organization").value_or("");
  if (session.empty() == organization.empty()) {
    return fail(Errc::invalid, "mesh.drop: a session or an organization");
  }
  for (const auto& [id, adapter] : adapters_) adapter->host().mesh_drop(session, organization);
  return json::object{};
}

void Workload::add_status(json::object& out) {
  out["mode"] = "workload";
  out["draining"] = draining_;
  rap_health worst{};
  std::uint64_t accepted = accepted_, refused = refused_;
  json::array adapters, services, metrics;
  for (const auto& [id, adapter] : adapters_) {
    const rap_health& health = adapter->health();
    worst.sessions += health.sessions;
    worst.streams += health.streams;
    if (health.level > worst.level || worst.note[0] == '\0') {
      worst.level = std::max(worst.level, health.level);
      std::copy(std::begin(health.note), std::end(health.note), worst.note);
    }
    accepted += adapter->accepted();
    refused += adapter->refused();
    adapters.push_back({{"adapter", id},
                        {"draining", adapter->draining()},
                        {"health", health_json(health)},
                        {"accepted", adapter->accepted()},
                        {"refused", adapter->refused()}});
    adapter->add_services(services);
    for (json::value& metric : metrics_json(adapter->host().metrics())) {
      metric.as_object()["adapter"] = id;
      metrics.push_back(std::move(metric));
    }
  }
  out["health"] = health_json(worst);
  out["accepted"] = accepted;
  out["refused"] = refused;
  out["adapters"] = std::move(adapters);
  out["services"] = std::move(services);
  out["metrics"] = std::move(metrics);
}

void Workload::call(json::object body, std::vector<Fd> fds, std::chrono::milliseconds timeout,
                    std::function<void(Result<ipc::Message>)> done) {
  server_.call(std::move(body), std::move(fds), timeout, std::move(done));
}

void Workload::note(const json::object& body) {
  server_.send_note(body);
}

// ---- the end ----
void Workload::drain(std::chrono::milliseconds limit) {
  if (std::exchange(draining_, true)) return;
  for (const auto& [id, adapter] : adapters_) adapter->drain(limit);
}

void Workload::stop() {
  draining_ = true;
  for (const auto& [id, adapter] : adapters_) adapter->stop();
}

}  // namespace rap::worker
