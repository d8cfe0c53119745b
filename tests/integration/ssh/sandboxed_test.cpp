// The plugin in a real rap-worker: sealed, sandboxed, forked, behind the session hub.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <boost/json.hpp>

#include "base/bytes.hpp"
#include "base/json.hpp"
#include "sshd.hpp"
#include "tests/integration/worker/worker_harness.hpp"

namespace rap::ssh {
namespace {

namespace json = boost::json;
using test::TestSession;
using test::TestWorker;
using namespace std::chrono_literals;

class SandboxedSsh : public testing::Test {
 protected:
  SandboxedSsh() {
    EXPECT_TRUE(worker_.hello());
    test::LoadOptions load;
    load.adapter = "rap.ssh";
    load.roles = {"ssh-worker"};
    load.needs = {"rap.host.session/1", "rap.host.stream/1", "rap.host.secret/1",
                  "rap.host.loop/1"};
    load.wants = {"rap.host.log/1", "rap.host.config/1", "rap.host.metrics/1"};
    load.grants = load.needs;
    load.dt_needed = {"libssh.so.4", "libvterm.so.0", "libstdc++.so.6", "libgcc_s.so.1",
                      "libc.so.6"};
    const auto loaded = worker_.load(load);
    EXPECT_TRUE(loaded) << loaded.error().text();
  }

  // Plays the agent until the session is there; the last state seen.
  std::string open(TestSession& session, const std::string& host_key) {
    const json::object options{
        {"user", sshd_.user()}, {"auth", "publickey"}, {"known_hosts", json::array{host_key}}};
    const json::object body{{"op", "open"},
                            {"session", session.id},
                            {"organization", "org_1"},
                            {"resource", "res_1"},
                            {"target", "res_1"},
                            {"secret_ref", "sec_1"},
                            {"options", options},
                            {"cols", 80},
                            {"rows", 24}};
    const auto accepted = session.agent->call(body, {}, test::kPatience);
    EXPECT_TRUE(accepted) << accepted.error().text();
    for (;;) {
      const auto message = session.agent->next_message(test::kPatience);
      if (!message) return "timeout";
      if (message->op == "stream.open") {
        const Fd stream(dial());
        const int fds[] = {stream.get()};
        EXPECT_TRUE(session.agent->answer(*message->id, {}, fds));
      } else if (message->op == "secret.resolve") {
        const std::string key = sshd_.good_key();
        EXPECT_TRUE(session.agent->answer(*message->id, {{"value", to_base64(as_bytes(key))}}));
      } else if (message->op == "state") {
        const std::string state = *json_string(*message->body, "state");
        detail_ = json_string_or_none(*message->body, "detail").value_or("");
        if (state != "opening") return state;
      }
    }
  }

  int dial() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(sshd_.port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int done = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    EXPECT_TRUE(done == 0 || errno == EINPROGRESS);
    ::usleep(50'000);
    return fd;
  }

  Sshd sshd_;
  TestWorker worker_{RAP_SSH_PLUGIN};
  std::string detail_;
};

TEST_F(SandboxedSsh, HoldsAShellOverDetachAndTakeover) {
  auto session = worker_.fork_session();
  ASSERT_TRUE(session) << session.error().text();
  ASSERT_EQ(open(*session, sshd_.host_key()), "detached") << detail_ << worker_.log_text();
  auto first = worker_.join(*session, "control", "Ada", 100, 30);
  ASSERT_TRUE(first) << first.error().text();
  first->send_input("exec env -i TERM=xterm PS1='$ ' bash --norc --noprofile\r");
  first->send_input("echo first-$((40+2)); stty size\r");
  ASSERT_TRUE(first->wait_output("first-42\r\n30 100"));
  first->close();

  auto second = worker_.join(*session, "control", "Bob", 100, 30);
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->wait_output("first-42"));  // painted, not typed
  EXPECT_GE(second->key_frames(), 1);
  second->send_input("exit 3\r");
  const auto closed = second->next<frames::Closed>();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->reason, "exit") << closed->detail;
  EXPECT_EQ(closed->exit_status, 3);
}

TEST_F(SandboxedSsh, SaysWhyThereIsNoSession) {
  auto session = worker_.fork_session();
  ASSERT_TRUE(session);
  EXPECT_EQ(open(*session, sshd_.other_host_key()), "failed");
  EXPECT_NE(detail_.find(sshd_.host_fingerprint()), std::string::npos) << detail_;
}

// Not a test: run by hand with --gtest_also_run_disabled_tests.
TEST_F(SandboxedSsh, DISABLED_ThroughputOf256Megabytes) {
  auto session = worker_.fork_session();
  ASSERT_TRUE(session);
  ASSERT_EQ(open(*session, sshd_.host_key()), "detached") << detail_;
  auto client = worker_.join(*session, "control", "Ada");
  ASSERT_TRUE(client);
  const std::string file = sshd_.folder() + "/big";
  ASSERT_EQ(std::system(("base64 -w 76 /dev/urandom | head -c 268435456 > " + file).c_str()), 0);
  const auto start = std::chrono::steady_clock::now();
  client->send_input("cat " + file + "\r");
  EXPECT_GE(client->drain(268435456, 300'000), 268435456u);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("%.1f s, %.1f MB/s\n", seconds, 268.4 / seconds);
}

}  // namespace
}  // namespace rap::ssh
