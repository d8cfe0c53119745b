#include "cli/terminal/client.hpp"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/net/event.hpp"
#include "base/net/net_error.hpp"
#include "base/net/task_group.hpp"
#include "base/net/timer.hpp"
#include "cli/prompt.hpp"
#include "cli/terminal/escapes.hpp"
#include "cli/terminal/status_line.hpp"
#include "contracts/frames/control.hpp"
#include "contracts/frames/frame.hpp"
#include "contracts/frames/reader.hpp"

namespace rap::cli {
namespace {

namespace asio = net::asio;
using namespace std::chrono_literals;

// A large paste goes in pieces that the remote side can refuse one by one.
constexpr std::size_t kInputBytes = 16 * 1024;
// Input that the node has not taken yet; more is not read from the terminal until it has.
constexpr std::size_t kUnsentMax = 256 * 1024;
// How long the goodbye may take.
constexpr net::milliseconds kGrace = 2s;
constexpr char kEndOfTransmission = 4;
// Not long for a script, not many in a target's queue while a command runs.
constexpr net::milliseconds kEndRepeat = 500ms;
constexpr char kCtrlC = 3;
// A script that closed the pipe waits for us; nothing is gained by asking more often.
constexpr net::milliseconds kOutputWatch = 500ms;
// Long enough to be read; then the last row is the session's again.
constexpr net::milliseconds kLineStays = 2s;

std::string terminal_name() {
  const char* term = std::getenv("TERM");
  const std::string name = term && *term ? term : "dumb";
  return name.size() <= frames::kTermCharactersMax ? name : "xterm-256color";
}

class Client {
 public:
  Client(asio::any_io_executor executor, net::ByteStream& stream, View view, FirstScreen first,
         PauseFeed* pauses)
      : executor_(executor),
        stream_(stream),
        view_(view),
        first_(first),
        pauses_(pauses),
        unsent_(executor),
        sent_(executor),
        tasks_(executor) {
    if (pauses_ == nullptr) return;
    pauses_->tell = [this](Pause what, net::milliseconds so_far) { on_pause(what, so_far); };
  }
  ~Client() {
    if (pauses_ != nullptr) pauses_->tell = nullptr;
  }

  net::Task<SessionEnd> run() {
    const TerminalSize size = terminal_size();
    frames::Hello hello;
    hello.cols = std::min(size.cols, frames::kSizeMax);
    hello.rows = std::min(size.rows, frames::kSizeMax);
    hello.term = terminal_name();
    send_control(hello);
    tasks_.spawn("send", send_frames());
    tasks_.spawn("input", read_input());
    tasks_.spawn("resize", watch_size());
    tasks_.spawn("signals", watch_signals());
    tasks_.spawn("output", watch_output());
    std::exception_ptr failed;
    try {
      co_await receive_frames();
    } catch (const net::NetError& error) {
      if (!end_) end_ = lost(error.detail());
    } catch (...) {
      failed = std::current_exception();
    }
    tasks_.cancel();
    co_await tasks_.drain(kGrace);
    if (line_shown_) write_output(status_line("", terminal_size()));
    if (failed) std::rethrow_exception(failed);
    co_return end_.value_or(lost("the node closed the stream"));
  }

 private:
  static SessionEnd lost(const std::string& detail) {
    return {SessionEnd::How::lost, {}, {}, {}, detail};
  }

  static SessionEnd output_closed() {
    return {SessionEnd::How::output_closed, {}, {}, {}, "standard output takes no more"};
  }

  void send_control(const frames::ClientMessage& message) {
    push(frames::make_control_frame(frames::to_json(message), ++control_seq_));
  }

  void push(const Bytes& frame) {
    outgoing_.insert(outgoing_.end(), frame.begin(), frame.end());
    unsent_.set();
  }

  net::Task<void> send_frames() {
    for (;;) {
      co_await unsent_.wait();
      unsent_.reset();
      Bytes now;
      now.swap(outgoing_);
      try {
        co_await stream_.write_all(now);
      } catch (const net::NetError&) {
        co_return;  // the reading side knows why
      }
      sent_.set();
    }
  }

  void send_input(const std::string& bytes) {
    for (std::size_t at = 0; at < bytes.size(); at += kInputBytes) {
      const std::string piece = bytes.substr(at, kInputBytes);
      frames::FrameHeader header;
      header.channel = frames::Channel::input;
      header.seq = ++input_seq_;
      push(frames::make_frame(header, as_bytes(piece)));
    }
  }

  // The stream descriptor is only waited for: making it non-blocking would do that to everybody who
  // shares the terminal.
  net::Task<void> read_input() {
    struct stat what {};
    const bool terminal = stdin_is_terminal();
    // Regular files and /dev/null are always readable, and epoll does not take them.
    const bool file = ::fstat(STDIN_FILENO, &what) == 0 &&
                      (S_ISREG(what.st_mode) || (S_ISCHR(what.st_mode) && !terminal));
    asio::posix::stream_descriptor input(executor_);
    if (!file) input.assign(::dup(STDIN_FILENO));
    std::string block(kInputBytes, '\0');
    for (;;) {
      while (outgoing_.size() > kUnsentMax) {
        sent_.reset();
        co_await sent_.wait();
      }
      if (!file) {
        co_await input.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
      }
      const ssize_t count = ::read(STDIN_FILENO, block.data(), block.size());
      if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (count <= 0) break;
      if (!take_input({block.data(), static_cast<std::size_t>(count)}, terminal)) co_return;
    }
    if (terminal) {
      leave();  // the terminal is gone
    } else if (view_ == View::no && first_ == FirstScreen::whole) {
      leave();  // a shell that was there before this script is not the script's to end
    } else if (view_ == View::no) {
      co_await end_input();
    }
  }

  // A terminal has no end of input, only a character that means it to whoever reads at that moment,
  // and a shell that is just starting may miss it. So it is typed until the shell has ended.
  net::Task<void> end_input() {
    for (;;) {
      send_input(std::string(1, kEndOfTransmission));
      co_await net::sleep_for(kEndRepeat);
    }
  }

  // False when the person left.
  bool take_input(std::string_view bytes, bool terminal) {
    if (!terminal) {
      if (view_ == View::no) send_input(std::string(bytes));
      return true;
    }
    if (view_ == View::yes && bytes.find(kCtrlC) != std::string_view::npos) {
      leave();
      return false;
    }
    std::string out;
    EscapeCommand command = escapes_.feed(bytes, out);
    while (command == EscapeCommand::help) {
      write_output(kEscapeHelp);
      command = escapes_.feed({}, out);
    }
    if (view_ == View::no && !out.empty()) send_input(out);  // also what was typed before leaving
    if (command == EscapeCommand::disconnect) {
      end_ = SessionEnd{SessionEnd::How::detached, {}, {}, {}, {}};
      stream_.close();
    } else if (command == EscapeCommand::detach) {
      leave();
    }
    return command == EscapeCommand::none;
  }

  // Says goodbye; the hub closes the stream, or we do after kGrace.
  void leave() {
    if (leaving_) return;
    leaving_ = true;
    end_ = SessionEnd{SessionEnd::How::detached, {}, {}, {}, {}};
    send_control(frames::Detach{});
    tasks_.spawn("goodbye", close_later());
  }

  net::Task<void> close_later() {
    co_await net::sleep_for(kGrace);
    stream_.close();
  }

  void on_pause(Pause what, net::milliseconds so_far) {
    ++line_;
    if (what == Pause::begun) {
      say("connection lost, reconnecting (~. leaves)");
      return;
    }
    say("connected again after " + pause_text(so_far));
    if (line_shown_) tasks_.spawn("status line", restore_line(line_));
  }

  void say(const std::string& text) {
    if (::isatty(STDOUT_FILENO) != 1) {
      std::cerr << "rapctl: " << text << (stdin_is_terminal() ? "\r\n" : "\n");
    } else if (repaints_) {  // or nobody could put back what stands there
      line_shown_ = write_output(status_line("rapctl: " + text, terminal_size()));
    }
  }

  // Unless another pause began.
  net::Task<void> restore_line(int line) {
    co_await net::sleep_for(kLineStays);
    if (line != line_ || leaving_) co_return;
    line_shown_ = false;
    send_control(frames::Repaint{});
  }

  net::Task<void> watch_size() {
    asio::signal_set signals(executor_, SIGWINCH);
    TerminalSize known = terminal_size();
    for (;;) {
      co_await signals.async_wait(asio::use_awaitable);
      const TerminalSize now = terminal_size();
      if (now == known || view_ == View::yes) continue;
      known = now;
      frames::Resize resize;
      resize.cols = std::min(now.cols, frames::kSizeMax);
      resize.rows = std::min(now.rows, frames::kSizeMax);
      send_control(resize);
    }
  }

  net::Task<void> watch_signals() {
    asio::signal_set signals(executor_, SIGTERM, SIGHUP, SIGINT);
    co_await signals.async_wait(asio::use_awaitable);
    leave();
  }

  // The reader of a pipe may go while the session says nothing, and no write would tell.
  net::Task<void> watch_output() {
    while (output_is_read()) co_await net::sleep_for(kOutputWatch);
    if (leaving_ || end_) co_return;
    end_ = output_closed();
    stream_.close();
  }

  net::Task<void> receive_frames() {
    frames::FrameReader reader(frames::Direction::to_client);
    for (;;) {
      const std::span<std::uint8_t> room = reader.prepare();
      const std::size_t count = co_await stream_.read_some(room);
      if (count == 0) co_return;
      reader.commit(count);
      for (;;) {
        auto frame = reader.next();
        if (!frame) {
          end_ = SessionEnd{SessionEnd::How::refused,
                            {},
                            {},
                            {},
                            "the node does not speak the frame protocol: " + frame.error().detail};
          co_return;
        }
        if (!*frame) break;
        if (!handle(**frame)) co_return;
      }
    }
  }

  // False when it was the last one.
  bool handle(const frames::FrameView& frame) {
    if (frame.header.channel == frames::Channel::terminal) {
      if (leaving_) return true;
      if (write_output(as_text(frame.payload))) return true;
      end_ = output_closed();
      return false;
    }
    if (frame.header.channel != frames::Channel::control) return true;
    const auto message = frames::parse_hub_message(as_text(frame.payload));
    if (!message) return true;  // a newer hub says more than we know
    return handle(*message);
  }

  bool handle(const frames::HubMessage& message) {
    if (const auto* welcome = std::get_if<frames::Welcome>(&message)) repaints_ = welcome->repaints;
    if (const auto* taken = std::get_if<frames::TakenOver>(&message)) {
      end_ = SessionEnd{SessionEnd::How::taken_over, {}, {}, taken->by, taken->at, taken->from};
      return false;
    }
    if (const auto* closed = std::get_if<frames::Closed>(&message)) {
      std::optional<int> status;
      if (closed->exit_status) status = static_cast<int>(*closed->exit_status & 0xff);
      end_ = SessionEnd{SessionEnd::How::closed, closed->reason, status, {}, closed->detail};
      return false;
    }
    if (const auto* error = std::get_if<frames::ErrorMessage>(&message)) {
      end_ = SessionEnd{SessionEnd::How::refused, error->code, {}, {}, error->detail};
      return false;
    }
    return true;
  }

  asio::any_io_executor executor_;
  net::ByteStream& stream_;
  View view_;
  FirstScreen first_;
  PauseFeed* pauses_;
  net::Event unsent_;
  net::Event sent_;
  Bytes outgoing_;
  std::uint64_t control_seq_ = 0;
  std::uint64_t input_seq_ = 0;
  Escapes escapes_;
  bool leaving_ = false;
  bool repaints_ = false;    // the hub does, when asked
  bool line_shown_ = false;  // on the last row
  int line_ = 0;             // rises with each
  std::optional<SessionEnd> end_;
  net::TaskGroup tasks_;  // last: its tasks use the members above
};

}  // namespace

net::Task<SessionEnd> run_terminal(net::ByteStreamPtr stream, View view, FirstScreen first,
                                   PauseFeed* pauses) {
  const auto executor = co_await asio::this_coro::executor;
  SessionEnd end;
  {
    const RawMode raw;
    Client client(executor, *stream, view, first, pauses);
    end = co_await client.run();
    stream->close();
    reset_terminal();
    if (first == FirstScreen::whole) erase_below();
  }
  co_return end;
}

}  // namespace rap::cli
