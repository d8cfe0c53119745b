#include "cli/terminal/tty.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace rap::cli {
namespace {

// What to restore; written before the handlers are installed, read by them.
termios saved;
volatile sig_atomic_t raw = 0;

constexpr int kFatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGQUIT};

void restore() {
  if (raw == 0) return;
  raw = 0;
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
}

// Only functions that are safe in a handler.
void on_fatal(int signal) {
  if (raw != 0) ::tcsetattr(STDIN_FILENO, TCSANOW, &saved);
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

}  // namespace

TerminalSize terminal_size() {
  winsize size{};
  for (const int fd : {STDOUT_FILENO, STDIN_FILENO}) {
    if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
      return {size.ws_col, size.ws_row};
    }
  }
  return {};
}

RawMode::RawMode() {
  if (::isatty(STDIN_FILENO) != 1 || ::tcgetattr(STDIN_FILENO, &saved) != 0) return;
  static const bool registered = std::atexit(restore) == 0;
  static_cast<void>(registered);
  raw = 1;
  active_ = true;
  for (const int signal : kFatal) ::signal(signal, on_fatal);
  termios now = saved;
  ::cfmakeraw(&now);
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &now);
}

RawMode::~RawMode() {
  if (!active_) return;
  restore();
  for (const int signal : kFatal) ::signal(signal, SIG_DFL);
}

bool write_output(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (count > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      // Somebody else made our output non-blocking.
      pollfd wait{STDOUT_FILENO, POLLOUT, 0};
      ::poll(&wait, 1, 1000);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool output_is_read() {
  struct stat what {};
  pollfd poll{STDOUT_FILENO, 0, 0};  // errors are told unasked
  const bool pipe = ::fstat(STDOUT_FILENO, &what) == 0 && S_ISFIFO(what.st_mode);
  return !pipe || ::poll(&poll, 1, 0) <= 0 || (poll.revents & POLLERR) == 0;
}

void reset_terminal() {
  if (::isatty(STDOUT_FILENO) != 1) return;
  // Margins move the cursor when they go, so it is kept beside them. Not every terminal knows the
  // soft reset (CSI ! p), which would do most of this.
  write_output(
      "\030\033\\\033[!p\033[?1047l\0337\033[?69l\033[r\0338\033[4l\033[20l"
      "\033[?9l\033[?1000l\033[?1002l\033[?1003l\033[?1004l\033[?1005l\033[?1006l\033[?1015l"
      "\033[?2004l\033[?5l\033[?1l\033[?7h\033[?25h\033>\033[0m\033[0 q\033(B\017");
}

void erase_below() {
  if (::isatty(STDOUT_FILENO) == 1) write_output("\033[J");
}

}  // namespace rap::cli
