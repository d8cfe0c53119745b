// One life of an agent with real workers. What stands in for the control plane is only that nobody
// answers.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include "base/id.hpp"
#include "base/net/timer.hpp"
#include "contracts/frames/frame.hpp"
#include "host/agent/node/facts.hpp"
#include "host/agent/session/broker.hpp"
#include "tests/support/patience.hpp"
#include "tests/unit/agent/full_disk.hpp"
#include "tests/unit/agent/temp_dir.hpp"

namespace rap::agent {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

inline std::string directory_of(const char* variable, const char* otherwise) {
  const char* value = std::getenv(variable);
  return value != nullptr ? value : otherwise;
}
inline std::string bin(const std::string& name) {
  return directory_of("RAP_TEST_BIN_DIR", RAP_TEST_BIN_DIR) + "/" + name;
}
inline std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> buffer;
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    out.append(buffer.data(), n);
  }
  ::pclose(pipe);
  return out;
}

// One life of an agent: everything but the control plane.
struct Life {
  Life(const Config& config, std::int64_t number)
      : context{io.get_executor(),
                pool,
                config,
                StateLayout{config.state_dir},
                RunLayout{config.run_dir},
                InstanceRecords(RunLayout{config.run_dir}.instances()),
                number,
                read_facts().boot_id,
                tasks,
                Counters{}},
        control(io.get_executor()),
        events(context, control, Outbox::open(context.state.outbox(), 100).value()),
        logs(context),
        workloads(
            context, logs,
            {[] {},
             [this] { ++artifact_bad; },
             [this](std::string session, ExitInfo how) { broker->session_exited(session, how); },
             [this](const std::string& zygote) { return broker->sessions_in(zygote); },
             {},
             [this](std::string role, std::string organization, std::string target,
                    net::milliseconds limit) {
               return SessionBroker::open_for_workload(
                   *broker, std::move(role), std::move(organization), std::move(target), limit);
             },
             [this](const std::string& session) { return broker->knows(session); },
             [this](MeshStream stream) { broker->on_mesh_stream(std::move(stream)); },
             [this](boost::json::object report) { reports.push_back(std::move(report)); }}),
        listener(std::make_shared<MeshListener>(
            context, logs, [](std::int64_t, ipc::JsonPtr, std::string, Fd) {}, nullptr)) {
    SessionBroker::Parts parts{context,
                               control,
                               events,
                               workloads,
                               *listener,
                               [this] { return applied; },
                               [this] { return no_refresh(); },
                               [this] { return identities; }};
    broker.emplace(std::move(parts));
  }
  ~Life() {
    tasks.cancel();
    io.restart();
    io.run_for(200ms);
  }

  static net::Task<bool> never() { co_return false; }
  net::Task<bool> no_refresh() { return never(); }

  // Runs the loop until `done` says so. A pause of the whole machine counts as one turn.
  bool until(const std::function<bool()>& done, std::chrono::milliseconds limit = test::kPatience) {
    std::chrono::nanoseconds awake{0};
    auto last = std::chrono::steady_clock::now();
    while (!done()) {
      if (awake > limit) return false;
      io.restart();
      io.run_for(10ms);
      const auto now = std::chrono::steady_clock::now();
      awake += std::min<std::chrono::nanoseconds>(now - last, 100ms);
      last = now;
    }
    return true;
  }
  template <typename T>
  T wait(net::Task<T> task) {
    std::optional<T> out;
    auto done = [&out](std::exception_ptr error, T value) {
      if (error) std::rethrow_exception(error);
      out.emplace(std::move(value));
    };
    net::asio::co_spawn(io, std::move(task), done);
    EXPECT_TRUE(until([&] { return out.has_value(); }));
    return std::move(*out);
  }

  net::asio::io_context io{1};
  net::BlockingPool pool{1};
  net::TaskGroup tasks{io.get_executor()};
  Context context;
  ControlClient control;
  SessionEvents events;
  LogCapture logs;
  AppliedPtr applied;
  MeshHandPtr identities;
  std::vector<boost::json::object> reports;  // of the mesh
  int artifact_bad = 0;
  Workloads workloads;
  std::shared_ptr<MeshListener> listener;
  std::optional<SessionBroker> broker;
};

class Supervision : public testing::Test {
 protected:
  Supervision()
      : Supervision(directory_of("RAP_TEST_PLUGIN_DIR", RAP_TEST_PLUGIN_DIR) + "/echo.so",
                    "echo-worker") {}
  Supervision(std::string plugin_file, std::string role)
      : plugin_file_(std::move(plugin_file)), role_(std::move(role)) {}

  void SetUp() override {
    config_.state_dir = dir_.path() / "s";
    config_.run_dir = dir_.path() / "r";
    config_.worker_path = bin("rap-worker");
    ASSERT_TRUE(make_directories({config_.state_dir}, {config_.run_dir}));
    manifest_ = output_of(bin("rap-plugin-check") + " manifest " + plugin_file_ +
                          " --product plugin.rap.test --version 0.1.0 --seq 1");
    ListedTarget listed;
    listed.product = "plugin.rap.test";
    listed.version = "0.1.0";
    listed.release_seq = 1;
    listed.security_epoch = 0;
    auto release = release_from_manifest(manifest_, listed);
    ASSERT_TRUE(release) << release.error().text() << manifest_;
    release_ = *release;
    put_artifact();

    auto applied = std::make_shared<Applied>();
    applied->membership.status = NodeStatus::active;
    applied->director_expires = RealClock().now() + 1h;
    RoleAssignment role;
    role.assignment_id = assignment_;
    role.role = role_;
    role.organization_id = organization_;
    role.product = "plugin.rap.test";
    role.version = "0.1.0";
    role.config_json = "{}";
    applied->roles.push_back(role);
    Resource resource;
    resource.resource_id = resource_;
    resource.organization_id = organization_;
    resource.role = role_;
    resource.host = "127.0.0.1";
    resource.port = 1;
    resource.options_json = "{}";
    applied->access.resources[resource_] = resource;
    applied->releases.emplace(ReleaseKey{"plugin.rap.test", "0.1.0"}, *release);
    applied_ = applied;
  }

  fs::path artifact() const {
    return ArtifactStore(config_.state_dir / "store").path_of(release_.artifact_sha256);
  }
  void put_artifact() {
    const ArtifactStore store(config_.state_dir / "store");
    ASSERT_TRUE(store.add(release_.artifact_sha256, [this](const fs::path& to) -> Status {
      fs::copy_file(plugin_file_, to);
      return {};
    }));
  }

  fs::path outbox_file() const { return StateLayout{config_.state_dir}.outbox() / "events"; }
  static net::Task<bool> closing(Life& life, std::string session) {
    co_await life.broker->close(session, "a test");
    co_return true;
  }

  void begin(Life& life) {
    life.applied = applied_;
    life.workloads.apply(applied_);
  }
  static WorkloadState state_of(Life& life) { return life.workloads.report().at(0).state; }
  static bool running(Life& life) {
    return life.until([&] { return state_of(life) == WorkloadState::running; });
  }

  std::shared_ptr<const boost::json::object> claims_of(const std::string& session, const char* verb,
                                                       const char* user) const {
    return std::make_shared<const boost::json::object>(boost::json::object{{"sid", session},
                                                                           {"org", organization_},
                                                                           {"res", resource_},
                                                                           {"sub", user},
                                                                           {"name", "ada"},
                                                                           {"mode", "control"},
                                                                           {"verb", verb}});
  }

  // Our end of a stream whose other end went to the session.
  Fd open_session(Life& life, const std::string& session, const char* verb,
                  const char* user = "usr_1") {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const auto before = life.context.counters.attachments;
    const auto refused = life.context.counters.streams_refused;
    life.broker->on_stream(1, claims_of(session, verb, user), "192.0.2.7", Fd(ends[1]));
    EXPECT_TRUE(life.until([&] {
      return life.context.counters.attachments > before ||
             life.context.counters.streams_refused > refused;
    }));
    EXPECT_EQ(life.context.counters.streams_refused, refused);
    return Fd(ends[0]);
  }

  // True when the hub's first frame arrives after our hello.
  static bool greets(Life& life, const Fd& stream) {
    const Bytes hello = frames::make_control_frame(
        R"({"type":"hello","version":1,"cols":80,"rows":24,"term":"xterm"})", 1);
    if (::send(stream.get(), hello.data(), hello.size(), MSG_NOSIGNAL) < 0) return false;
    std::string got;
    return life.until([&] {
      std::array<char, 4096> buffer;
      const ssize_t n = ::recv(stream.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (n > 0) got.append(buffer.data(), static_cast<std::size_t>(n));
      return got.find("\"welcome\"") != std::string::npos;
    });
  }

  void stop_everything(Life& life) {
    net::asio::co_spawn(life.io, life.workloads.stop_all(), [](std::exception_ptr) {});
    EXPECT_TRUE(life.until([&] { return state_of(life) == WorkloadState::stopped; }));
  }

  const std::string plugin_file_, role_;
  TempDir dir_;
  Config config_;
  std::string manifest_;
  Release release_;
  AppliedPtr applied_;
  const std::string assignment_ = RoleAssignmentId::fresh().str();
  const std::string organization_ = OrganizationId::fresh().str();
  const std::string resource_ = ResourceId::fresh().str();
};

}  // namespace rap::agent
