// The terminal client on a pseudo terminal, with a hub on the other end of a socket pair.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <string>

#include "base/net/tcp.hpp"
#include "cli/run_task.hpp"
#include "cli/terminal/client.hpp"
#include "cli/terminal/status_line.hpp"
#include "contracts/frames/control.hpp"
#include "contracts/frames/frame.hpp"
#include "contracts/frames/reader.hpp"

namespace rap::cli {
namespace {

// A child process runs the client; this one is its hub and its person.
class TerminalTest : public testing::Test {
 protected:
  void start(View view = View::no, FirstScreen first = FirstScreen::empty) {
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    winsize size{30, 100, 0, 0};
    child_ = ::forkpty(&person_, nullptr, nullptr, &size);
    if (child_ == 0) {
      ::close(pair[1]);
      ::setenv("TERM", "xterm", 1);
      if (!output_.empty()) ::dup2(::open(output_.c_str(), O_WRONLY), STDOUT_FILENO);
      if (!input_.empty()) {
        int pipe[2];
        if (::pipe(pipe) != 0 ||
            ::write(pipe[1], input_.data(), input_.size()) != static_cast<ssize_t>(input_.size())) {
          ::_exit(1);
        }
        ::close(pipe[1]);
        ::dup2(pipe[0], STDIN_FILENO);
      }
      net::asio::io_context io{1};
      auto stream = net::wrap_socket(io.get_executor(), Fd(pair[0]));
      const SessionEnd end = run_task(io, run_terminal(std::move(stream), view, first));
      ::_exit(10 + static_cast<int>(end.how));
    }
    ::close(pair[0]);
    hub_ = pair[1];
    ASSERT_EQ(::tcgetattr(person_, &before_), 0);
    const auto hello = next_message();
    ASSERT_TRUE(std::holds_alternative<frames::Hello>(hello));
    EXPECT_EQ(std::get<frames::Hello>(hello).cols, 100u);
    EXPECT_EQ(std::get<frames::Hello>(hello).rows, 30u);
    EXPECT_EQ(std::get<frames::Hello>(hello).term, "xterm");
  }
  ~TerminalTest() override {
    if (hub_ >= 0) ::close(hub_);
    if (person_ >= 0) ::close(person_);
    if (child_ > 0) ::waitpid(child_, nullptr, 0);
  }

  void send(const Bytes& frame) {
    ASSERT_EQ(::write(hub_, frame.data(), frame.size()), static_cast<ssize_t>(frame.size()));
  }
  void send(const frames::HubMessage& message) {
    send(frames::make_control_frame(frames::to_json(message), ++control_seq_));
  }
  void paint(const std::string& text) {
    frames::FrameHeader header;
    header.channel = frames::Channel::terminal;
    header.seq = ++terminal_seq_;
    send(frames::make_frame(header, as_bytes(text)));
  }
  void type(const std::string& text) {
    ASSERT_EQ(::write(person_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

  // The next frame from the client; its payload is kept in `payload`.
  std::optional<frames::FrameHeader> next_frame() {
    for (;;) {
      const auto frame = reader_.next();
      if (!frame) return std::nullopt;
      if (*frame) {
        payload = std::string(as_text((*frame)->payload));
        return (*frame)->header;
      }
      const auto room = reader_.prepare();
      pollfd wait{hub_, POLLIN, 0};
      if (::poll(&wait, 1, 5000) != 1) return std::nullopt;
      const ssize_t count = ::read(hub_, room.data(), room.size());
      if (count <= 0) return std::nullopt;
      reader_.commit(static_cast<std::size_t>(count));
    }
  }
  frames::ClientMessage next_message() {
    const auto header = next_frame();
    if (!header || header->channel != frames::Channel::control) return frames::Ping{-1};
    return frames::parse_client_message(payload).value_or(frames::Ping{-2});
  }
  std::string next_input() {
    const auto header = next_frame();
    return header && header->channel == frames::Channel::input ? payload : "?";
  }
  // What the person sees, until it contains `text`.
  bool sees(const std::string& text) {
    while (seen_.find(text) == std::string::npos) {
      pollfd wait{person_, POLLIN, 0};
      char block[4096];
      if (::poll(&wait, 1, 5000) != 1) return false;
      const ssize_t count = ::read(person_, block, sizeof block);
      if (count <= 0) return false;
      seen_.append(block, static_cast<std::size_t>(count));
    }
    return true;
  }
  // The `how` it ended with; the terminal must be as it was.
  int ended() {
    int status = 0;
    sees("\033[?2004l");  // drain
    for (int i = 0; i < 500 && ::waitpid(child_, &status, WNOHANG) == 0; ++i) {
      pollfd wait{person_, POLLIN, 0};
      char block[4096];
      if (::poll(&wait, 1, 10) == 1 && ::read(person_, block, sizeof block) < 0) ::usleep(10'000);
    }
    child_ = -1;
    if (!WIFEXITED(status)) return -WTERMSIG(status);
    return WEXITSTATUS(status) - 10;
  }

  static int how(SessionEnd::How value) { return static_cast<int>(value); }

  pid_t child_ = -1;
  int person_ = -1;
  std::string output_;  // standard output is this file, unless it is empty
  std::string input_;   // standard input is a pipe with this, unless it is empty
  int hub_ = -1;
  termios before_{};
  std::string payload;
  std::string seen_;
  std::uint64_t control_seq_ = 0;
  std::uint64_t terminal_seq_ = 0;
  frames::FrameReader reader_{frames::Direction::to_hub};
};

TEST_F(TerminalTest, CarriesKeysAndOutput) {
  start();
  paint("prompt$ ");
  ASSERT_TRUE(sees("prompt$ "));
  type("\xc3\xa4\003\032\033[A");  // UTF-8, Ctrl-C, Ctrl-Z, an arrow
  EXPECT_EQ(next_input(), "\xc3\xa4\003\032\033[A");
  type("\r~~x");
  EXPECT_EQ(next_input(), "\r~x");
  frames::Closed closed;
  closed.reason = "exit";
  closed.exit_status = 7;
  send(closed);
  EXPECT_EQ(ended(), how(SessionEnd::How::closed));
}

TEST_F(TerminalTest, TellsTheHubOfANewSize) {
  start();
  paint("x");
  ASSERT_TRUE(sees("x"));
  winsize size{40, 120, 0, 0};
  ASSERT_EQ(::ioctl(person_, TIOCSWINSZ, &size), 0);
  const auto message = next_message();
  ASSERT_TRUE(std::holds_alternative<frames::Resize>(message));
  EXPECT_EQ(std::get<frames::Resize>(message).cols, 120u);
  EXPECT_EQ(std::get<frames::Resize>(message).rows, 40u);
  type("~.");
  EXPECT_EQ(ended(), how(SessionEnd::How::detached));
}

TEST_F(TerminalTest, SaysGoodbyeAndWaitsForTheHub) {
  start();
  paint("x");
  ASSERT_TRUE(sees("x"));
  type("ls\r~d");
  EXPECT_EQ(next_input(), "ls\r");
  EXPECT_TRUE(std::holds_alternative<frames::Detach>(next_message()));
  ::shutdown(hub_, SHUT_RDWR);
  EXPECT_EQ(ended(), how(SessionEnd::How::detached));
}

TEST_F(TerminalTest, LeavesWhenTheHubDoesNotAnswer) {
  start();
  paint("x");
  ASSERT_TRUE(sees("x"));
  ::kill(child_, SIGTERM);
  EXPECT_TRUE(std::holds_alternative<frames::Detach>(next_message()));
  EXPECT_EQ(ended(), how(SessionEnd::How::detached));
}

TEST_F(TerminalTest, SaysWhyItEnded) {
  start();
  frames::TakenOver taken;
  taken.by = "Ada";
  taken.at = "2026-01-01T00:00:00Z";
  send(taken);
  EXPECT_EQ(ended(), how(SessionEnd::How::taken_over));
}

TEST_F(TerminalTest, NoticesThatTheStreamIsLost) {
  start();
  paint("x");
  ASSERT_TRUE(sees("x"));
  ::close(hub_);
  hub_ = -1;
  EXPECT_EQ(ended(), how(SessionEnd::How::lost));
}

TEST_F(TerminalTest, RefusesAHubThatSpeaksNonsense) {
  start();
  send(Bytes(100, 0xff));
  EXPECT_EQ(ended(), how(SessionEnd::How::refused));
}

TEST_F(TerminalTest, ShowsHelp) {
  start();
  paint("x");
  ASSERT_TRUE(sees("x"));
  type("~?");
  EXPECT_TRUE(sees("~d   leave"));
  type("~.");
  EXPECT_EQ(ended(), how(SessionEnd::How::detached));
}

TEST_F(TerminalTest, AViewerSendsNothing) {
  start(View::yes);
  paint("x");
  ASSERT_TRUE(sees("x"));
  type("rm -rf /\r");
  winsize size{40, 120, 0, 0};
  ASSERT_EQ(::ioctl(person_, TIOCSWINSZ, &size), 0);
  ::usleep(100'000);
  type("\003");
  EXPECT_TRUE(std::holds_alternative<frames::Detach>(next_message()));
  ::shutdown(hub_, SHUT_RDWR);
  EXPECT_EQ(ended(), how(SessionEnd::How::detached));
}

TEST_F(TerminalTest, AnOutputThatTakesNothingEndsIt) {
  output_ = "/dev/full";
  start();
  paint("!");
  EXPECT_EQ(ended(), how(SessionEnd::How::output_closed));
}

TEST_F(TerminalTest, TheEndOfAPipeEndsTheShellThatItOpened) {
  input_ = "echo\n";
  start();
  std::string typed;
  while (typed.find('\004') == typed.npos) {
    ASSERT_TRUE(next_frame()) << typed;
    typed += payload;
  }
  EXPECT_EQ(typed, "echo\n\004");
  ::close(hub_);
  hub_ = -1;
  EXPECT_EQ(ended(), how(SessionEnd::How::lost));
}

TEST_F(TerminalTest, TheEndOfAPipeLeavesAShellThatWasThereBefore) {
  input_ = "echo\n";
  start(View::no, FirstScreen::whole);
  ASSERT_TRUE(next_frame());
  EXPECT_EQ(payload, "echo\n");
  EXPECT_TRUE(std::holds_alternative<frames::Detach>(next_message()));
  ::shutdown(hub_, SHUT_RDWR);
  EXPECT_EQ(ended(), how(SessionEnd::How::detached));
}

TEST_F(TerminalTest, LeavesNothingOfAnothersScreenUnderThePrompt) {
  start(View::yes, FirstScreen::whole);
  paint("\033[H\033[2Jtop\r\nmiddle\033[H");
  ASSERT_TRUE(sees("middle"));
  ::close(hub_);
  hub_ = -1;
  EXPECT_TRUE(sees("\033[J"));
  EXPECT_EQ(ended(), how(SessionEnd::How::lost));
}

TEST_F(TerminalTest, LeavesTheTerminalAsItWas) {
  start();
  paint("\033[?1049h\033[?1000h\033[?25l!");
  ASSERT_TRUE(sees("!"));
  termios during{};
  ASSERT_EQ(::tcgetattr(person_, &during), 0);
  EXPECT_EQ(during.c_lflag & (ICANON | ECHO | ISIG), 0u);
  ::close(hub_);
  hub_ = -1;
  EXPECT_TRUE(sees("\033[?1047l"));
  EXPECT_TRUE(sees("\033[?1000l"));
  EXPECT_TRUE(sees("\033[?25h"));
  termios after{};
  for (int i = 0; i < 100; ++i) {
    if (::tcgetattr(person_, &after) == 0 && after.c_lflag == before_.c_lflag) break;
    ::usleep(10'000);
  }
  EXPECT_EQ(after.c_lflag, before_.c_lflag);
  EXPECT_EQ(after.c_iflag, before_.c_iflag);
  EXPECT_EQ(ended(), how(SessionEnd::How::lost));
}

// A person's terminal shows these at the bottom and keeps the rest as it is.
TEST(StatusLine, IsOneRowCutToItsWidthBetweenSavedAndRestored) {
  const std::string line = status_line("rapctl: connection lost", {20, 7});
  EXPECT_TRUE(line.starts_with("\0337")) << "keeps the cursor";
  EXPECT_TRUE(line.ends_with("\0338"));
  EXPECT_NE(line.find("\033[7;1H"), std::string::npos) << "on the last row";
  EXPECT_NE(line.find("rapctl: connection \033"), std::string::npos) << "19 of 20 columns";
  EXPECT_EQ(status_line("x", {1, 1}).find('x'), std::string::npos);
}

TEST(StatusLine, PausesReadAsPeopleSayThem) {
  using std::chrono::milliseconds;
  EXPECT_EQ(pause_text(milliseconds(2'140)), "2.1 s");
  EXPECT_EQ(pause_text(milliseconds(59'900)), "59.9 s");
  EXPECT_EQ(pause_text(milliseconds(65'000)), "1 min 5 s");
  EXPECT_EQ(pause_text(milliseconds(-5)), "0.0 s");
}

}  // namespace
}  // namespace rap::cli
