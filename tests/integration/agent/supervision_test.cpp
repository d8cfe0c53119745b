// The agent's supervision with real workers: start, fork, crash, restart of the agent, changed
// artifact. What stands in for the control plane is only that nobody answers.
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
#include "tests/unit/agent/full_disk.hpp"
#include "tests/unit/agent/temp_dir.hpp"

namespace rap::agent {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::string directory_of(const char* variable, const char* otherwise) {
  const char* value = std::getenv(variable);
  return value != nullptr ? value : otherwise;
}
std::string bin(const std::string& name) {
  return directory_of("RAP_TEST_BIN_DIR", RAP_TEST_BIN_DIR) + "/" + name;
}
std::string plugin_file() {
  return directory_of("RAP_TEST_PLUGIN_DIR", RAP_TEST_PLUGIN_DIR) + "/echo.so";
}

std::string output_of(const std::string& command) {
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
            {[] {}, [this] { ++artifact_bad; },
             [this](std::string session, ExitInfo how) { broker->session_exited(session, how); },
             [this](const std::string& zygote) { return broker->sessions_in(zygote); }}),
        listener(std::make_shared<MeshListener>(
            context, logs, [](std::int64_t, ipc::JsonPtr, Fd) {}, nullptr)) {
    SessionBroker::Parts parts{context,
                               control,
                               events,
                               workloads,
                               *listener,
                               [this] { return applied; },
                               [this] { return no_refresh(); }};
    broker.emplace(std::move(parts));
  }
  ~Life() {
    tasks.cancel();
    io.restart();
    io.run_for(200ms);
  }

  static net::Task<bool> never() { co_return false; }
  net::Task<bool> no_refresh() { return never(); }

  // Runs the loop until `done` says so.
  bool until(const std::function<bool()>& done, std::chrono::milliseconds limit = 10s) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      io.restart();
      io.run_for(10ms);
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
    EXPECT_TRUE(until([&] { return out.has_value(); }, 30s));
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
  int artifact_bad = 0;
  Workloads workloads;
  std::shared_ptr<MeshListener> listener;
  std::optional<SessionBroker> broker;
};

class Supervision : public testing::Test {
 protected:
  void SetUp() override {
    config_.state_dir = dir_.path() / "s";
    config_.run_dir = dir_.path() / "r";
    config_.worker_path = bin("rap-worker");
    ASSERT_TRUE(make_directories({config_.state_dir}, {config_.run_dir}));
    manifest_ = output_of(bin("rap-plugin-check") + " manifest " + plugin_file() +
                          " --product plugin.rap.echo --version 0.1.0 --seq 1");
    ListedTarget listed;
    listed.product = "plugin.rap.echo";
    listed.version = "0.1.0";
    listed.release_seq = 1;
    listed.security_epoch = 0;
    auto release = release_from_manifest(manifest_, listed);
    ASSERT_TRUE(release) << release.error().text() << manifest_;
    release_ = *release;
    put_artifact();

    auto applied = std::make_shared<Applied>();
    applied->membership.status = NodeStatus::active;
    RoleAssignment role;
    role.assignment_id = RoleAssignmentId::fresh().str();
    role.role = "echo-worker";
    role.organization_id = organization_;
    role.product = "plugin.rap.echo";
    role.version = "0.1.0";
    role.config_json = "{}";
    applied->roles.push_back(role);
    Resource resource;
    resource.resource_id = resource_;
    resource.organization_id = organization_;
    resource.role = "echo-worker";
    resource.host = "127.0.0.1";
    resource.port = 1;
    resource.options_json = "{}";
    applied->access.resources[resource_] = resource;
    applied->releases.emplace(ReleaseKey{"plugin.rap.echo", "0.1.0"}, *release);
    applied_ = applied;
  }

  fs::path artifact() const {
    return ArtifactStore(config_.state_dir / "store").path_of(release_.artifact_sha256);
  }
  void put_artifact() {
    const ArtifactStore store(config_.state_dir / "store");
    ASSERT_TRUE(store.add(release_.artifact_sha256, [](const fs::path& to) -> Status {
      fs::copy_file(plugin_file(), to);
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

  // Our end of a stream whose other end went to the session.
  Fd open_session(Life& life, const std::string& session, const char* verb) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    auto claims =
        std::make_shared<const boost::json::object>(boost::json::object{{"sid", session},
                                                                        {"org", organization_},
                                                                        {"res", resource_},
                                                                        {"sub", "usr_1"},
                                                                        {"name", "ada"},
                                                                        {"mode", "control"},
                                                                        {"verb", verb}});
    const auto before = life.context.counters.attachments;
    const auto refused = life.context.counters.streams_refused;
    life.broker->on_stream(1, claims, Fd(ends[1]));
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

  TempDir dir_;
  Config config_;
  std::string manifest_;
  Release release_;
  AppliedPtr applied_;
  const std::string organization_ = OrganizationId::fresh().str();
  const std::string resource_ = ResourceId::fresh().str();
};

TEST_F(Supervision, StartsForksAndEndsEverything) {
  Life life(config_, 1);
  begin(life);
  ASSERT_TRUE(running(life)) << life.workloads.report().at(0).detail;
  EXPECT_GT(life.workloads.report().at(0).pid, 0);
  EXPECT_FALSE(life.workloads.sandbox_layers().empty());
  const std::string session = SessionId::fresh().str();
  const Fd stream = open_session(life, session, "open");
  EXPECT_TRUE(greets(life, stream));
  EXPECT_EQ(life.broker->size(), 1u);
  EXPECT_GT(life.events.waiting(), 0u);

  net::asio::co_spawn(life.io, life.broker->stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(life.until([&] { return life.broker->size() == 0; }, 20s));
  net::asio::co_spawn(life.io, life.workloads.stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(life.until([&] { return state_of(life) == WorkloadState::stopped; }, 20s));
  EXPECT_TRUE(fs::is_empty(config_.run_dir / "instances"));
}

TEST_F(Supervision, TheNextAgentFindsTheSameSession) {
  const std::string session = SessionId::fresh().str();
  int zygote_pid = 0;
  {
    Life first(config_, 1);
    begin(first);
    ASSERT_TRUE(running(first)) << first.workloads.report().at(0).detail;
    zygote_pid = first.workloads.report().at(0).pid;
    const Fd stream = open_session(first, session, "open");
    ASSERT_TRUE(greets(first, stream));
  }  // gone without a word, as after kill -9
  Life second(config_, 2);
  std::vector<std::string> damaged;
  const auto records = second.context.records.read_all(damaged);
  ASSERT_EQ(records.size(), 2u);
  for (const InstanceRecord& record : records) {
    if (record.kind == InstanceKind::zygote) second.workloads.adopt(record, applied_.get());
  }
  for (const InstanceRecord& record : records) {
    if (record.kind == InstanceKind::session) second.broker->adopt(record);
  }
  begin(second);
  ASSERT_TRUE(running(second)) << second.workloads.report().at(0).detail;
  EXPECT_EQ(second.workloads.report().at(0).pid, zygote_pid);
  EXPECT_EQ(second.context.counters.process_starts, 0u);
  const Fd stream = open_session(second, session, "attach");
  EXPECT_TRUE(greets(second, stream));
  net::asio::co_spawn(second.io, second.broker->stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(second.until([&] { return second.broker->size() == 0; }, 20s));
  net::asio::co_spawn(second.io, second.workloads.stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(second.until([&] { return state_of(second) == WorkloadState::stopped; }, 20s));
}

TEST_F(Supervision, AKilledWorkerIsStartedAgainAndItsSessionReported) {
  Life life(config_, 1);
  begin(life);
  ASSERT_TRUE(running(life)) << life.workloads.report().at(0).detail;
  const std::string session = SessionId::fresh().str();
  const Fd stream = open_session(life, session, "open");
  ASSERT_TRUE(greets(life, stream));
  const int pid = life.workloads.report().at(0).pid;
  const auto kept = life.context.counters.events_kept;
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  EXPECT_TRUE(life.until([&] {
    return state_of(life) == WorkloadState::running && life.workloads.report().at(0).pid != pid;
  })) << life.workloads.report().at(0).detail;
  // The zygote was the first process of its namespace: the session died with it, and that is said.
  EXPECT_TRUE(life.until([&] { return life.broker->size() == 0; }));
  EXPECT_GT(life.context.counters.events_kept, kept);
  net::asio::co_spawn(life.io, life.workloads.stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(life.until([&] { return state_of(life) == WorkloadState::stopped; }, 20s));
}

TEST_F(Supervision, AFlippedByteIsRefusedAndAskedForAgain) {
  std::string bytes = read_text_file(artifact(), 64 << 20).value();
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(write_file_atomic(artifact(), bytes, 0400));
  Life life(config_, 1);
  begin(life);
  EXPECT_TRUE(life.until([&] { return life.artifact_bad > 0; }));
  EXPECT_EQ(life.context.counters.process_starts, 0u);
  EXPECT_FALSE(fs::exists(artifact()));
  put_artifact();  // as the next sync does
  life.workloads.retry_failed();
  EXPECT_TRUE(running(life)) << life.workloads.report().at(0).detail;
  net::asio::co_spawn(life.io, life.workloads.stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(life.until([&] { return state_of(life) == WorkloadState::stopped; }, 20s));
}

TEST_F(Supervision, AFullDiskDelaysEventsAndLosesNone) {
  Life life(config_, 1);
  begin(life);
  ASSERT_TRUE(running(life)) << life.workloads.report().at(0).detail;
  const std::string session = SessionId::fresh().str();
  Fd stream = open_session(life, session, "open");
  ASSERT_TRUE(greets(life, stream));
  ASSERT_TRUE(life.until([&] { return life.events.waiting() >= 3; }));  // opening, active, attached
  const std::string before = read_text_file(outbox_file(), 1 << 20).value();
  {
    const FullDisk full(before.size() + 10);
    stream = Fd();
    EXPECT_TRUE(life.until([&] { return !life.events.disk_trouble().empty(); }));
    (void)life.wait(closing(life, session));
    // The worker waits two seconds for its events to be acknowledged, and leaves.
    EXPECT_TRUE(life.until([&] { return life.broker->size() == 0; }, 20s));
    EXPECT_EQ(read_text_file(outbox_file(), 1 << 20).value(), before) << "nor half a line";
    EXPECT_FALSE(life.events.disk_trouble().empty());
  }
  EXPECT_TRUE(life.until([&] { return life.events.disk_trouble().empty(); }));
  const std::string after = read_text_file(outbox_file(), 1 << 20).value();
  const auto detached = after.find("\"kind\":\"detached\"");
  EXPECT_NE(detached, std::string::npos) << after;
  EXPECT_NE(after.find("\"state\":\"closed\"", detached), std::string::npos) << after;
  EXPECT_EQ(life.events.dropped(), 0u);
  net::asio::co_spawn(life.io, life.workloads.stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(life.until([&] { return state_of(life) == WorkloadState::stopped; }, 20s));
}

TEST_F(Supervision, AWorkerThatCannotStartIsGivenUpAndSaidSo) {
  config_.worker_path = "/bin/false";
  config_.restarts_max = 2;
  Life life(config_, 1);
  begin(life);
  EXPECT_TRUE(life.until([&] { return state_of(life) == WorkloadState::failed; }, 40s));
  EXPECT_NE(life.workloads.report().at(0).detail.find("given up"), std::string::npos);
}

}  // namespace
}  // namespace rap::agent
