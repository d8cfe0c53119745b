// The plugin as built, against a real sshd.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdio>
#include <string>

#include "password_server.hpp"
#include "plugins/ssh/screen.hpp"
#include "sshd.hpp"
#include "test_host.hpp"

namespace rap::ssh {
namespace {

class SshSessionTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { sshd_ = new Sshd(); }
  static void TearDownTestSuite() {
    delete sshd_;
    sshd_ = nullptr;
  }

  SshSessionTest() {
    host_.port = sshd_->port();
    host_.secret = sshd_->good_key();
  }

  static std::string options(const std::string& host_key, const std::string& extra = "") {
    return R"({"user":")" + sshd_->user() + R"(","auth":"publickey","known_hosts":[")" + host_key +
           "\"]" + extra + "}";
  }
  void open(std::uint32_t cols = 80, std::uint32_t rows = 24) {
    ASSERT_EQ(host_.open(options(sshd_->host_key()), cols, rows), RAP_PENDING);
    ASSERT_TRUE(host_.run([this] { return host_.opened.has_value(); }));
    ASSERT_EQ(host_.opened->first, RAP_OK) << host_.opened->second;
    host_.attach(1, RAP_ATTACH_CONTROL);
    // A shell without configuration, so that the owner's prompt does not matter.
    ASSERT_TRUE(
        host_.type("exec env -i TERM=xterm PS1='$ ' LC_ALL=C.UTF-8 bash --norc --noprofile", "$ "));
  }
  std::pair<rap_result, std::string> failure(const std::string& options_json) {
    EXPECT_EQ(host_.open(options_json), RAP_PENDING) << host_.last_failure;
    EXPECT_TRUE(host_.run([this] { return host_.opened.has_value(); }));
    return host_.opened.value_or(std::pair{RAP_OK, std::string()});
  }

  static Sshd* sshd_;
  TestHost host_{RAP_SSH_PLUGIN};
};

Sshd* SshSessionTest::sshd_ = nullptr;

TEST_F(SshSessionTest, RunsAShellAndReportsItsExitStatus) {
  open();
  EXPECT_TRUE(host_.type("echo $((6*7))", "42"));
  EXPECT_TRUE(host_.type(
      "printf '\\344\\270\\255\\n' | od -c | head -1; echo \xe4\xb8\xad-\xf0\x9f\x98\x80",
      "\xe4\xb8\xad-\xf0\x9f\x98\x80\r\n"));
  host_.input("exit 7\r");
  ASSERT_TRUE(host_.run([this] { return host_.closed.has_value(); }));
  EXPECT_EQ(host_.closed->first, RAP_OK) << host_.closed->second;
  EXPECT_EQ(host_.control, R"({"type":"exit","exit_status":7})");
}

TEST_F(SshSessionTest, AnAttachShowsTheWholeScreenAtOnce) {
  open();
  ASSERT_TRUE(
      host_.type("clear; printf '\\033[31mred\\033[0m %s\\n' one two th''ree", "red\033[0m three"));
  host_.frames.clear();
  host_.attach(2, RAP_ATTACH_VIEW);
  ASSERT_FALSE(host_.frames.empty());
  EXPECT_TRUE(host_.frames[0].flags & RAP_FRAME_KEY);
  Screen seen({80, 24});
  seen.write(host_.frames[0].data);
  EXPECT_EQ(seen.grid().at(0, 0).chars[0], 'r');
  EXPECT_EQ(seen.grid().at(0, 0).pen.foreground.indexed.idx, 1);
  EXPECT_EQ(seen.grid().at(2, 4).chars[0], 't');
}

TEST_F(SshSessionTest, TheShellGoesOnWithNobodyAttached) {
  open();
  host_.attached = false;
  host_.input("sleep 0.2; echo done > " + sshd_->folder() + "/detached; echo finished\r");
  ASSERT_TRUE(
      host_.run([] { return ::access((sshd_->folder() + "/detached").c_str(), F_OK) == 0; }));
  host_.run([] { return false; }, std::chrono::milliseconds(200));
  host_.output.clear();
  host_.attach(3, RAP_ATTACH_CONTROL);
  EXPECT_NE(host_.output.find("finished"), std::string::npos);
}

TEST_F(SshSessionTest, ResizesTheRemoteTerminal) {
  open(100, 30);
  EXPECT_TRUE(host_.type("stty size", "30 100"));
  host_.resize(132, 43);
  EXPECT_TRUE(host_.type("stty size", "43 132"));
  host_.attach(4, RAP_ATTACH_CONTROL, 90, 20);
  EXPECT_TRUE(host_.type("stty size", "20 90"));
  host_.attach(5, RAP_ATTACH_VIEW, 50, 10);
  EXPECT_TRUE(host_.type("stty size", "20 90"));
}

TEST_F(SshSessionTest, TakesAFrameLargerThanItsBufferWhenNothingWaits) {
  open();
  ASSERT_TRUE(host_.type("stty raw -echo; echo go''; head -c 600000 | wc -c", "go"));
  host_.run([] { return false; }, std::chrono::milliseconds(300));
  EXPECT_EQ(host_.input(std::string(300'000, 'x')), RAP_OK);
  // Behind it another one waits its turn.
  const std::string second(300'000, 'y');
  rap_result result = RAP_E_BUSY;
  host_.run([&] { return (result = host_.input(second)) != RAP_E_BUSY; });
  EXPECT_EQ(result, RAP_OK);
  EXPECT_TRUE(host_.run([this] { return host_.output.find("600000") != std::string::npos; }));
}

TEST_F(SshSessionTest, CtrlCInterrupts) {
  open();
  ASSERT_TRUE(host_.type("echo now $((1+2)); sleep 60", "now 3"));
  host_.run([] { return false; }, std::chrono::milliseconds(300));
  host_.input("\003");
  EXPECT_TRUE(host_.type("echo still $((1+1))", "still 2"));
}

TEST_F(SshSessionTest, NothingIsLostWhenTheHostIsBusy) {
  open();
  host_.output.clear();
  host_.busy_after = host_.terminal_bytes + 100'000;
  host_.input("seq 1 200000; echo the''-end\r");
  for (int round = 0; round < 1000; ++round) {
    const bool full = host_.run([&] { return host_.terminal_bytes >= host_.busy_after; },
                                std::chrono::milliseconds(1000));
    if (!full && host_.output.find("the-end\r\n") != std::string::npos) break;
    // Somebody comes to look while the host is busy: only a picture is added.
    if (round % 5 == 3) host_.attach(100 + round, RAP_ATTACH_VIEW);
    host_.busy_after = host_.terminal_bytes + 100'000;
    host_.writable();
  }
  std::string output;
  bool picture = false;
  for (const SeenFrame& frame : host_.frames) {
    if (frame.flags & RAP_FRAME_KEY) picture = true;
    if (!picture) output += frame.data;
    if (frame.flags & RAP_FRAME_END) picture = false;
  }
  std::string expected;
  for (int i = 1; i <= 200000; ++i) expected += std::to_string(i) + "\r\n";
  EXPECT_NE(output.find(expected + "the-end\r\n"), std::string::npos);
}

TEST_F(SshSessionTest, SleepsWhileTheHostIsBusy) {
  open();
  host_.keep_frames = false;
  host_.input("yes\r");
  // Long enough for some pauses to come right after the channel's window was extended.
  for (int round = 0; round < 20; ++round) {
    host_.busy_after = host_.terminal_bytes + 250'000;
    host_.writable();
    ASSERT_TRUE(host_.run([&] { return host_.terminal_bytes >= host_.busy_after; }));
    // What is left of the window still comes, slowly when sshd gets no time; then it is quiet. A
    // session that spins wakes up thousands of times and never is.
    std::size_t before = 0;
    int tries = 0;
    do {
      ASSERT_LT(++tries, 1000);
      before = host_.io_calls;
      host_.run([] { return false; }, std::chrono::milliseconds(30));
    } while (host_.io_calls - before > 10);
  }
}

TEST_F(SshSessionTest, RefusesAHostKeyThatIsNotListed) {
  const auto [code, why] = failure(options(sshd_->other_host_key()));
  EXPECT_EQ(code, RAP_E_DENIED);
  EXPECT_NE(why.find(sshd_->host_fingerprint()), std::string::npos) << why;
}

TEST_F(SshSessionTest, SaysWhenTheKeyIsRefused) {
  host_.secret = sshd_->other_key();
  const auto [code, why] = failure(options(sshd_->host_key()));
  EXPECT_EQ(code, RAP_E_AUTH);
  EXPECT_NE(why.find("refused the key of user"), std::string::npos) << why;
}

TEST_F(SshSessionTest, SaysWhenTheSecretIsNoKey) {
  for (const std::string& secret : {std::string("not a key"), std::string(),
                                    std::string(40'000, 'x'), std::string("a\0b", 3)}) {
    TestHost host(RAP_SSH_PLUGIN);
    host.port = sshd_->port();
    host.secret = secret;
    ASSERT_EQ(host.open(options(sshd_->host_key())), RAP_PENDING);
    ASSERT_TRUE(host.run([&] { return host.opened.has_value(); }));
    EXPECT_EQ(host.opened->first, RAP_E_CONFIG);
  }
}

TEST_F(SshSessionTest, SaysWhenTheTargetCannotBeReached) {
  host_.port = 1;
  EXPECT_EQ(failure(options(sshd_->host_key())).first, RAP_E_UNREACHABLE);
}

TEST_F(SshSessionTest, PassesOnThatTheSecretWasDenied) {
  host_.secret_result = RAP_E_DENIED;
  EXPECT_EQ(failure(options(sshd_->host_key())).first, RAP_E_DENIED);
}

TEST_F(SshSessionTest, SaysThatTheResourceHasNoSecretAndWhatToDo) {
  host_.secret_ref.clear();
  const auto [code, text] = failure(options(sshd_->host_key()));
  EXPECT_EQ(code, RAP_E_CONFIG);
  EXPECT_NE(text.find("has no secret"), std::string::npos) << text;
  EXPECT_NE(text.find("rapctl resource update"), std::string::npos) << text;
}

TEST_F(SshSessionTest, RefusesBadOptionsAtOnce) {
  EXPECT_EQ(host_.open(options(sshd_->host_key(), R"(,"host_ca":["ssh-ed25519 AAAA"])")),
            RAP_E_CONFIG);
  EXPECT_EQ(host_.last_failure.substr(0, 9), "/host_ca:");
  EXPECT_EQ(host_.open(options("ssh-ed25519 AAAA")), RAP_E_CONFIG);
  EXPECT_EQ(host_.last_failure.substr(0, 15), "/known_hosts/0:");
}

TEST_F(SshSessionTest, SaysWhenTheConnectionIsLost) {
  open();
  ::shutdown(host_.stream_fd, SHUT_RDWR);
  ASSERT_TRUE(host_.run([this] { return host_.closed.has_value(); }));
  EXPECT_EQ(host_.closed->first, RAP_E_GONE);
}

TEST_F(SshSessionTest, MayBeClosedAtAnyMoment) {
  for (int turns = 0; turns < 60; turns += 3) {
    TestHost host(RAP_SSH_PLUGIN);
    host.port = sshd_->port();
    host.secret = sshd_->good_key();
    ASSERT_EQ(host.open(options(sshd_->host_key())), RAP_PENDING);
    int left = turns;
    host.run([&] { return left-- == 0 || host.opened; }, std::chrono::seconds(2));
    host.close();
  }
}

TEST_F(SshSessionTest, KeepaliveDoesNotDisturb) {
  ASSERT_EQ(host_.open(options(sshd_->host_key(), R"(,"keepalive_s":1)")), RAP_PENDING);
  ASSERT_TRUE(host_.run([this] { return host_.opened.has_value(); }));
  host_.attach(1, RAP_ATTACH_CONTROL);
  host_.run([this] { return host_.closed.has_value(); }, std::chrono::milliseconds(6500));
  EXPECT_FALSE(host_.closed) << host_.closed->second;
  EXPECT_TRUE(host_.type("echo alive$((1))", "alive1"));
}

std::string password_options(const PasswordServer& server) {
  return R"({"user":"ada","auth":"password","known_hosts":[")" + server.host_key() + "\"]}";
}

TEST_F(SshSessionTest, LogsInWithAPasswordAskedForInEitherWay) {
  for (const auto ask : {PasswordServer::Ask::password, PasswordServer::Ask::one_prompt}) {
    PasswordServer server(ask, "correct horse");
    TestHost host(RAP_SSH_PLUGIN);
    host.attached = true;
    host.port = server.port();
    host.secret = "correct horse";
    ASSERT_EQ(host.open(password_options(server)), RAP_PENDING) << host.last_failure;
    ASSERT_TRUE(
        host.run([&] { return host.closed.has_value() || (host.opened && host.opened->first); }));
    EXPECT_EQ(host.opened->first, RAP_OK) << host.opened->second;
    EXPECT_EQ(host.output, "welcome\r\n");
    EXPECT_EQ(host.control, R"({"type":"exit","exit_status":5})");
  }
}

TEST_F(SshSessionTest, SaysWhenThePasswordIsWrongOrNotEnough) {
  for (const auto& [ask, words] :
       {std::pair{PasswordServer::Ask::password, "refused the password"},
        {PasswordServer::Ask::one_prompt, "refused the password"},
        {PasswordServer::Ask::two_prompts, "asks for more than the password"}}) {
    PasswordServer server(ask, "correct horse");
    TestHost host(RAP_SSH_PLUGIN);
    host.port = server.port();
    host.secret = "battery";
    ASSERT_EQ(host.open(password_options(server)), RAP_PENDING);
    ASSERT_TRUE(host.run([&] { return host.opened.has_value(); }));
    EXPECT_EQ(host.opened->first, RAP_E_AUTH);
    EXPECT_NE(host.opened->second.find(words), std::string::npos) << host.opened->second;
  }
}

// Not a test: `ssh_session_test --gtest_also_run_disabled_tests --gtest_filter=*Throughput*`.
TEST_F(SshSessionTest, DISABLED_ThroughputOf256Megabytes) {
  open();
  const std::string file = sshd_->folder() + "/big";
  ASSERT_EQ(std::system(("base64 -w 76 /dev/urandom | head -c 268435456 > " + file).c_str()), 0);
  host_.keep_frames = false;
  const std::size_t before = host_.terminal_bytes;
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t cpu = std::clock();
  host_.input("cat " + file + "\r");
  ASSERT_TRUE(host_.run([&] { return host_.terminal_bytes - before >= 268435456; },
                        std::chrono::minutes(5)));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("%.1f s, %.1f MB/s, %.2f s of processor\n", seconds, 268.4 / seconds,
              static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC);
}

}  // namespace
}  // namespace rap::ssh
