#include "host/worker/workload_adapter.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/log.hpp"
#include "base/text.hpp"

namespace rap::worker {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

// While it drains somebody waits for the end.
constexpr auto kDrainLook = 100ms;
// Ports, and names on the mesh, of one adapter.
constexpr std::size_t kServicesMax = 16;
// Connections of one readiness, so that a flood leaves the adapter its turns.
constexpr int kAcceptsMax = 16;
// Until a busy adapter, or a process without descriptors, is offered more. The kernel's queue
// holds who comes meanwhile.
constexpr auto kAcceptPause = 100ms;

const char* level_name(std::uint32_t level) {
  if (level == RAP_HEALTH_OK) return "ok";
  return level == RAP_HEALTH_DEGRADED ? "degraded" : "failed";
}

bool is_listening(int fd) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 && value == 1;
}

}  // namespace

json::object health_json(const rap_health& health) {
  return {{"level", level_name(health.level)},
          {"note", as_utf8(health.note)},
          {"sessions", health.sessions},
          {"streams", health.streams}};
}

Result<Fd> only_fd(ipc::Message& message) {
  if (message.fds.size() != 1) return fail(Errc::invalid, message.op + " needs one descriptor");
  return std::move(message.fds.front());
}

WorkloadAdapter::WorkloadAdapter(Loop& loop, ipc::IpcServer& server, AgentLink& agent,
                                 Watchdog& watchdog, std::string id, PluginHostOptions options,
                                 std::function<void()> ended)
    : loop_(loop),
      server_(server),
      id_(std::move(id)),
      ended_(std::move(ended)),
      host_(loop, agent, watchdog, [&] {
        options.health_reported = [this] { host_.post([this] { look(); }); };
        return std::move(options);
      }()) {}

WorkloadAdapter::~WorkloadAdapter() = default;

Status WorkloadAdapter::start(const rap_plugin& plugin) {
  if (auto started = host_.start(plugin, id_); !started) return started;
  (void)host_.call("get_extension", [&] {
    rap_adapter* adapter = host_.adapter();
    accept_ = static_cast<const rap_adapter_accept_1*>(
        adapter->get_extension(adapter, RAP_ADAPTER_ACCEPT));
    mesh_ =
        static_cast<const rap_adapter_mesh_1*>(adapter->get_extension(adapter, RAP_ADAPTER_MESH));
    return RAP_OK;
  });
  look();
  return {};
}

Result<std::optional<json::object>> WorkloadAdapter::on_request(ipc::IpcServer::RequestId request,
                                                                ipc::Message& message) {
  if (message.op == "dial" || message.op == "mesh.open") {
    if (auto begun = mesh_request(request, message); !begun) return fail(begun.error());
    return std::optional<json::object>();
  }
  Result<json::object> done = fail(Errc::unsupported, "a workload has no op " + message.op);
  if (message.op == "accept") done = accept(message);
  if (message.op == "listen") done = listen(message);
  if (message.op == "unlisten") done = unlisten(*message.body);
  if (!done) return fail(done.error());
  return std::optional<json::object>(*std::move(done));
}

// ---- streams of others ----
Status WorkloadAdapter::open_services() {
  if (accept_ == nullptr) return fail(Errc::unsupported, "the adapter accepts no streams");
  if (draining_) return fail(Errc::unavailable, "draining");
  return {};
}

Result<json::object> WorkloadAdapter::accept(ipc::Message& message) {
  if (auto open = open_services(); !open) return fail(open.error());
  auto service = json_string(*message.body, "service");
  auto peer = json_string(*message.body, "peer");
  auto fd = only_fd(message);
  if (!service) return fail(service.error());
  if (!peer) return fail(peer.error());
  if (!fd) return fail(fd.error());
  const rap_result result = give(*std::move(fd), *service, *peer);
  if (result != RAP_OK) return fail(host_.error_of("accept", result));
  return json::object{};
}

Result<json::object> WorkloadAdapter::listen(ipc::Message& message) {
  if (auto open = open_services(); !open) return fail(open.error());
  auto name = json_string(*message.body, "service");
  auto address = json_string(*message.body, "address");
  auto fd = only_fd(message);
  if (!name) return fail(name.error());
  if (!address) return fail(address.error());
  if (!fd) return fail(fd.error());
  if (!is_listening(fd->get())) return fail(Errc::invalid, "listen: not a listening socket");
  if (services_.contains(*name)) return fail(Errc::conflict, *name + " has its socket");
  if (services_.size() >= kServicesMax) return fail(Errc::exhausted, "16 services are the most");
  fcntl(fd->get(), F_SETFL, fcntl(fd->get(), F_GETFL) | O_NONBLOCK);
  Service& service = services_[*name];
  service = {*std::move(fd), *name, *address};
  watch_service(service);
  return json::object{};
}

Result<json::object> WorkloadAdapter::unlisten(const json::object& body) {
  auto name = json_string(body, "service");
  if (!name) return fail(name.error());
  const auto at = services_.find(*name);
  if (at == services_.end()) return fail(Errc::not_found, "service " + *name);
  loop_.unwatch(at->second.fd.get());
  services_.erase(at);
  return json::object{};
}

rap_result WorkloadAdapter::give(Fd connected, const std::string& service,
                                 const std::string& peer) {
  fcntl(connected.get(), F_SETFL, fcntl(connected.get(), F_GETFL) | O_NONBLOCK);
  rap_incoming from{};
  from.size = sizeof from;
  from.kind = RAP_STREAM_BYTES;
  from.service = {service.data(), service.size()};
  from.peer = {peer.data(), peer.size()};
  const rap_result result = host_.call(
      "accept", [&] { return accept_->accept(host_.adapter(), connected.get(), &from); });
  if (result == RAP_OK) {
    (void)connected.release();  // M4
    ++accepted_;
  } else {
    ++refused_;
  }
  return result;
}

void WorkloadAdapter::watch_service(Service& service) {
  (void)loop_
      .watch(service.fd.get(), kRead, [this, &service](std::uint32_t) { accept_from(service); })
      .has_value();
}

void WorkloadAdapter::accept_from(Service& service) {
  const std::string name = service.name;
  for (int i = 0; i < kAcceptsMax; ++i) {
    Fd connected(accept4(service.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!connected) {
      if (errno == EAGAIN) return;
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return pause(service);
    }
    if (give(std::move(connected), name, "") == RAP_E_BUSY) return pause(service);
  }
}

void WorkloadAdapter::pause(Service& service) {
  if (std::exchange(service.paused, true)) return;
  loop_.unwatch(service.fd.get());
  host_.timer(kAcceptPause, 0ms, [this, name = service.name] {
    const auto at = services_.find(name);
    if (at == services_.end() || !std::exchange(at->second.paused, false)) return;
    watch_service(at->second);
  });
}

void WorkloadAdapter::close_services() {
  for (auto& [name, service] : services_) loop_.unwatch(service.fd.get());
  services_.clear();
}

// ---- what the agent knows ----
void WorkloadAdapter::look() {
  if (host_.adapter() == nullptr) return;
  const rap_health seen = host_.health();
  // How many streams are open is told with the level, and not a reason to tell it.
  const bool news = seen.level != health_.level || std::strcmp(seen.note, health_.note) != 0;
  health_ = seen;
  if (!news) return;
  const json::object note = {{"op", "health"}, {"adapter", id_}, {"health", health_json(health_)}};
  server_.send_note(note);
}

void WorkloadAdapter::add_services(json::array& out) const {
  for (const auto& [name, service] : services_) {
    out.push_back({{"service", name}, {"address", service.address}, {"adapter", id_}});
  }
}

// ---- the end ----
void WorkloadAdapter::drain(std::chrono::milliseconds limit) {
  if (host_.adapter() == nullptr || std::exchange(draining_, true)) return;
  close_services();
  rap_adapter* adapter = host_.adapter();
  const rap_result result = host_.call(
      "drain", [&] { return adapter->drain(adapter, static_cast<std::uint64_t>(limit.count())); });
  if (result < 0) log::warn("drain", {{"detail", host_.error_of("drain", result).text()}});
  const auto until = Loop::Clock::now() + limit;
  drain_timer_ = loop_.timer(0ms, kDrainLook, [this, until] {
    const rap_health seen = host_.health();
    if (seen.sessions + seen.streams > 0 && Loop::Clock::now() < until) return;
    stop();
  });
}

void WorkloadAdapter::stop() {
  if (host_.adapter() == nullptr) return;
  if (drain_timer_ != 0) loop_.cancel(std::exchange(drain_timer_, 0));
  draining_ = true;
  close_services();
  host_.stop();
  give_up_mesh_requests();
  ended_();
}

}  // namespace rap::worker
