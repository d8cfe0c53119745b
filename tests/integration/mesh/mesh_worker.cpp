#include "tests/integration/mesh/mesh_worker.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "base/json.hpp"
#include "host/loader/elf_check.hpp"
#include "host/loader/sealed_memfd.hpp"

namespace rap::test {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr const char* kPlugin = RAP_PLUGIN_OUT_DIR "/mesh.so";

loader::AdapterFacts facts(const std::string& role) {
  loader::AdapterFacts out;
  out.id = mesh_adapter(role);
  out.profile = "net.client";
  out.share = 1;
  out.wants = {"rap.host.log/1"};
  if (role == "core") {
    out.roles = {"core-mesh"};
    out.needs = {"rap.host.loop/1", "rap.host.identity/1", "rap.host.mesh/1",
                 "rap.host.snapshot/1"};
    out.wants = {"rap.host.log/1", "rap.host.config/1", "rap.host.metrics/1",
                 "rap.host.state-dir/1", "rap.host.health/1"};
    out.provides = {"rap.adapter.accept/1", "rap.adapter.mesh/1"};
  }
  if (role == "relay") out.roles = {"relay-node"};
  if (role == "entry") {
    out.roles = {"entry-node"};
    out.needs = {"rap.host.identity/1"};
  }
  return out;
}

LoadOptions load_options() {
  const auto core = facts("core");
  LoadOptions out;
  out.adapter = core.id;
  out.roles = core.roles;
  out.needs = core.needs;
  out.wants = core.wants;
  out.grants = core.needs;
  out.grants.insert(out.grants.end(), core.wants.begin(), core.wants.end());
  out.provides = core.provides;
  out.profile = core.profile;
  out.share = core.share;
  out.fork_safe = false;
  out.mode = "workload";
  out.more = {facts("relay"), facts("entry")};
  out.dt_needed = loader::read_elf(*read_file(kPlugin, 1u << 28))->needed;
  return out;
}

// As the agent binds it for the worker, which may not.
Fd listen_on_loopback(std::string& address) {
  Fd out(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (bind(out.get(), reinterpret_cast<sockaddr*>(&at), size) != 0 || listen(out.get(), 64) != 0 ||
      getsockname(out.get(), reinterpret_cast<sockaddr*>(&at), &size) != 0) {
    throw std::runtime_error("a port on the loopback");
  }
  address = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  return out;
}

void echo(Fd socket) {
  fcntl(socket.get(), F_SETFL, fcntl(socket.get(), F_GETFL) & ~O_NONBLOCK);
  std::vector<char> bytes(64 * 1024);
  ssize_t n = 0;
  while ((n = recv(socket.get(), bytes.data(), bytes.size(), 0)) > 0) {
    for (ssize_t at = 0; at < n;) {
      const ssize_t sent =
          send(socket.get(), bytes.data() + at, static_cast<std::size_t>(n - at), MSG_NOSIGNAL);
      if (sent <= 0) return;
      at += sent;
    }
  }
  shutdown(socket.get(), SHUT_WR);
}

}  // namespace

std::string mesh_adapter(const std::string& role) {
  return "rap.mesh." + role;
}

MeshWorker::MeshWorker(std::string node_id, std::vector<std::string> roles,
                       const std::string& state_directory)
    : node_id_(std::move(node_id)),
      roles_(std::move(roles)),
      worker_(kPlugin, sandbox::Network::client, state_directory) {
  const auto need = [this](const char* what, const auto& done) {
    if (!done) {
      throw std::runtime_error(what + (": " + done.error().text()) + "\n" + worker_.log_text());
    }
  };
  need("hello", worker_.hello());
  need("load", worker_.load(load_options()));
  const Fd port = listen_on_loopback(address_);
  agent_ = std::thread([this] { play_agent(); });
  need("listen", call({{"op", "listen"}, {"service", "mesh"}, {"address", address_}}, port));
  for (const std::string& role : roles_) need("adapter.add", add(role));
}

MeshWorker::~MeshWorker() {
  stop_ = true;
  agent_.join();
  kill();
  for (std::thread& thread : echoes_) thread.join();
}

bool MeshWorker::has(const std::string& role) const {
  return std::find(roles_.begin(), roles_.end(), role) != roles_.end();
}

void MeshWorker::kill() {
  // Never -1, which it is when the process has ended: that would be everybody.
  if (worker_.pid() > 0) ::kill(worker_.pid(), SIGKILL);
}

Fd MeshWorker::connect() const {
  Fd out(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port =
      htons(static_cast<std::uint16_t>(std::stoi(address_.substr(address_.find(':') + 1))));
  if (::connect(out.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) out.reset();
  return out;
}

// ---- to the worker ----

Result<ipc::Message> MeshWorker::call(const json::object& body, const Fd& fd) {
  const std::lock_guard lock(agent_lock_);
  const int fds[] = {fd.get()};
  return worker_.agent().call(body, std::span(fds, fd ? 1 : 0), kPatience);
}

void MeshWorker::snapshot(const char* name, const std::string& text) {
  auto sealed = loader::seal_bytes(as_bytes(text), name);
  ASSERT_TRUE(sealed);
  const auto done = call({{"op", "snapshot"}, {"name", name}}, sealed->fd);
  EXPECT_TRUE(done) << done.error().text();
}

void MeshWorker::identity(json::object body, const net::TlsIdentity& identity) {
  auto sealed = loader::seal_bytes(as_bytes(identity.certificate_pem + identity.key_pem), "id");
  ASSERT_TRUE(sealed);
  body["op"] = "identity";
  body["chain_bytes"] = identity.certificate_pem.size();
  const auto done = call(body, sealed->fd);
  EXPECT_TRUE(done) << done.error().text();
}

Status MeshWorker::add(const std::string& role) {
  json::array grants;
  for (const std::string& need : facts(role).needs) grants.emplace_back(need);
  grants.emplace_back("rap.host.log/1");
  auto done = call({{"op", "adapter.add"},
                    {"adapter", mesh_adapter(role)},
                    {"config", json::object{}},
                    {"grants", grants}});
  return done ? Status() : Status(fail(done.error()));
}

Status MeshWorker::remove(const std::string& role, int drain_ms) {
  auto done =
      call({{"op", "adapter.remove"}, {"adapter", mesh_adapter(role)}, {"drain_ms", drain_ms}});
  return done ? Status() : Status(fail(done.error()));
}

json::object MeshWorker::status() {
  auto answer = call({{"op", "status"}});
  return answer ? json::object(*answer->body) : json::object();
}

json::object MeshWorker::health(const std::string& role) {
  const json::object now = status();
  const json::value* adapters = now.if_contains("adapters");
  if (adapters == nullptr) return {};
  for (const json::value& adapter : adapters->as_array()) {
    if (adapter.at("adapter") == json::value(mesh_adapter(role))) {
      return adapter.at("health").as_object();
    }
  }
  return {};
}

// ---- from the worker ----

void MeshWorker::play_agent() {
  while (!stop_) {
    Result<ipc::Message> message = [this] {
      const std::lock_guard lock(agent_lock_);
      return worker_.agent().next_message(5ms);
    }();
    if (message) {
      if (message->op == "stream") take_stream(std::move(*message));
      const std::lock_guard lock(lock_);
      if (message->op == "mesh_report") report_ = message->body->at("report").as_object();
      if (message->op == "adapter_ended") ended_.push_back(*json_string(*message->body, "adapter"));
    }
    // Whoever waits for the connection gets it.
    std::this_thread::sleep_for(1ms);
  }
}

void MeshWorker::take_stream(ipc::Message message) {
  std::optional<Error> refusal;
  {
    const std::lock_guard lock(lock_);
    refusal = refusal_;
    delivered_.push_back(message.body->at("claims").as_object());
  }
  const std::lock_guard lock(agent_lock_);
  if (refusal) {
    message.fds.clear();
    (void)worker_.agent().refuse(*message.id, *refusal).has_value();
    return;
  }
  echoes_.emplace_back(echo, std::move(message.fds.at(0)));
  (void)worker_.agent().answer(*message.id, {}).has_value();
}

void MeshWorker::refuse_streams(const Error& error) {
  const std::lock_guard lock(lock_);
  refusal_ = error;
}

std::vector<json::object> MeshWorker::delivered() {
  const std::lock_guard lock(lock_);
  return delivered_;
}

json::object MeshWorker::last_report() {
  const std::lock_guard lock(lock_);
  return report_;
}

std::vector<std::string> MeshWorker::ended() {
  const std::lock_guard lock(lock_);
  return ended_;
}

}  // namespace rap::test
