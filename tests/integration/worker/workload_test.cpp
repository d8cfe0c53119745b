// Adapters without sessions in a real rap-worker.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <chrono>

#include "base/json.hpp"
#include "tests/integration/worker/worker_harness.hpp"

namespace rap::test {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

LoadOptions zoo_options(const std::string& name) {
  LoadOptions out;
  out.adapter = "zoo." + name;
  return out;
}

LoadOptions workload_options() {
  LoadOptions out;
  out.mode = "workload";
  out.adapter = "rap.echo-service";
  out.roles = {"echo-service"};
  out.needs = {"rap.host.loop/1", "rap.host.config/1"};
  out.wants = {"rap.host.log/1"};
  out.grants = {"rap.host.loop/1", "rap.host.config/1", "rap.host.log/1"};
  out.provides = {"rap.adapter.accept/1"};
  out.share = 1;
  out.fork_safe = false;
  out.dt_needed = {"libstdc++.so.6", "libgcc_s.so.1", "libc.so.6"};
  return out;
}

TEST(Workload, IsHandedConnectionsUntilItDrains) {
  TestWorker worker(example("echo-service"));
  ASSERT_TRUE(worker.hello());
  LoadOptions options = workload_options();
  options.config = {{"greeting", "hi"}};
  auto loaded = worker.load(options);
  ASSERT_TRUE(loaded) << loaded.error().text() << worker.log_text();
  EXPECT_EQ(*json_string(*loaded->body, "mode"), "workload");
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const Fd mine(ends[0]);
  Fd theirs(ends[1]);
  const json::object accept = {{"op", "accept"}, {"service", "echo"}, {"peer", "nod_1"}};
  const int fds[] = {theirs.get()};
  ASSERT_TRUE(worker.agent().call(accept, fds, kPatience));
  theirs.reset();
  char got[8] = {};
  EXPECT_EQ(recv(mine.get(), got, sizeof got, 0), 2);
  EXPECT_STREQ(got, "hi");

  EXPECT_EQ(worker.agent().call(accept, {}, kPatience).error().code, Errc::invalid);
  const json::object listen = {{"op", "listen"}, {"service", "x"}, {"address", "a"}};
  const int wrong[] = {mine.get()};
  EXPECT_EQ(worker.agent().call(listen, wrong, kPatience).error().code, Errc::invalid);
  const json::object unlisten = {{"op", "unlisten"}, {"service", "x"}};
  EXPECT_EQ(worker.agent().call(unlisten, {}, kPatience).error().code, Errc::not_found);
  const json::object snapshot = {{"op", "snapshot"}, {"name", "resources"}};
  EXPECT_FALSE(worker.agent().call(snapshot, wrong, kPatience)) << "not a sealed memfd";
  const json::object fork = {{"op", "fork"}, {"session", "ses_1"}};
  EXPECT_EQ(worker.agent().call(fork, wrong, kPatience).error().code, Errc::unsupported);

  const json::object drain = {{"op", "stop"}, {"drain_ms", 60'000}};
  ASSERT_TRUE(worker.agent().call(drain, {}, kPatience));
  EXPECT_EQ(worker.agent().call(accept, wrong, kPatience).error().code, Errc::unavailable);
  EXPECT_EQ(worker.wait_exit(500), -1) << "a connection is open";
  shutdown(mine.get(), SHUT_RDWR);
  EXPECT_EQ(worker.wait_exit(), 0);
}

TEST(Workload, EndsAtTheDrainsDeadlineAndOnSigterm) {
  for (const bool by_signal : {false, true}) {
    TestWorker worker(example("echo-service"));
    ASSERT_TRUE(worker.hello());
    ASSERT_TRUE(worker.load(workload_options()));
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const Fd mine(ends[0]);
    const Fd theirs(ends[1]);
    const json::object accept = {{"op", "accept"}, {"service", "echo"}, {"peer", ""}};
    const int fds[] = {theirs.get()};
    ASSERT_TRUE(worker.agent().call(accept, fds, kPatience));
    const json::object drain = {{"op", "stop"}, {"drain_ms", 300}};
    if (by_signal) {
      kill(worker.pid(), SIGTERM);
    } else {
      ASSERT_TRUE(worker.agent().call(drain, {}, kPatience));
    }
    EXPECT_EQ(worker.wait_exit(), 0);
  }
}

TEST(Workload, EscapesAreDeniedAndHangsAreKilled) {
  for (const char* name : {"fork-start", "connect-start", "read-files", "late-map", "exec-start"}) {
    TestWorker worker(zoo(name));
    ASSERT_TRUE(worker.hello());
    LoadOptions options = zoo_options(name);
    options.mode = "workload";
    auto loaded = worker.load(options);
    EXPECT_TRUE(loaded) << name << ": " << loaded.error().text();
  }
  for (const auto& [name, status] : {std::pair{"hang-start", 70}, std::pair{"hang-stop", 70}}) {
    TestWorker worker(zoo(name));
    ASSERT_TRUE(worker.hello());
    LoadOptions options = zoo_options(name);
    options.mode = "workload";
    const auto loaded = worker.load(options);
    if (loaded) kill(worker.pid(), SIGTERM);
    const int ended = worker.wait_exit();  // 5 s of its own time
    ASSERT_NE(ended, -1) << name;
    EXPECT_EQ(WEXITSTATUS(ended), status) << name;
  }
}

TEST(Workload, TheNetworkIsTheOneThatTheProfileAsksFor) {
  for (const auto& [network, profile, mode] :
       {std::tuple{sandbox::Network::none, "net.client", "workload"},
        std::tuple{sandbox::Network::client, "net.none", "workload"},
        std::tuple{sandbox::Network::none, "net.tun", "workload"},
        std::tuple{sandbox::Network::client, "net.client", "session"}}) {
    TestWorker worker(example("echo-service"), network);
    ASSERT_TRUE(worker.hello());
    LoadOptions options = workload_options();
    options.profile = profile;
    options.mode = mode;
    const auto loaded = worker.load(options);
    ASSERT_FALSE(loaded) << profile;
    EXPECT_EQ(loaded.error().code, Errc::forbidden) << loaded.error().text();
  }
}

}  // namespace
}  // namespace rap::test
