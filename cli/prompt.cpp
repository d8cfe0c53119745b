#include "cli/prompt.hpp"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.hpp"
#include "cli/failure.hpp"

namespace rap::cli {
namespace {

constexpr std::size_t kLineMax = 1024;
constexpr std::size_t kValueMax = 64 * 1024;

Fd open_terminal() {
  Fd tty(::open("/dev/tty", O_RDWR | O_CLOEXEC));
  if (!tty) {
    throw Failure(Exit::usage, "a question must be answered and there is no terminal",
                  "give the answer as an option; the command with --help lists them");
  }
  return tty;
}

void say(const Fd& tty, const std::string& text) {
  if (::write(tty.get(), text.data(), text.size()) < 0) return;
}

Bytes read_line(const Fd& tty) {
  Bytes line;
  line.reserve(kLineMax);  // so that no copy stays behind
  for (char c = 0; line.size() < kLineMax && ::read(tty.get(), &c, 1) == 1 && c != '\n';) {
    line.push_back(static_cast<std::uint8_t>(c));
  }
  return line;
}

Bytes read_hidden_line(const Fd& tty) {
  constexpr char kCtrlC = 3, kCtrlD = 4, kCtrlU = 21, kBackspace = 8, kDelete = 127;
  Bytes line;
  line.reserve(kLineMax);
  for (char c = 0; line.size() < kLineMax && ::read(tty.get(), &c, 1) == 1;) {
    if (c == '\n' || c == '\r' || c == kCtrlD) break;
    if (c == kCtrlC) throw Failure(Exit::error, "interrupted");
    if (c == kCtrlU) line.clear();
    if ((c == kBackspace || c == kDelete) && !line.empty()) line.pop_back();
    if (static_cast<unsigned char>(c) >= 0x20 && c != kDelete) {
      line.push_back(static_cast<std::uint8_t>(c));
    }
  }
  return line;
}

class EchoOff {
 public:
  explicit EchoOff(int fd) : fd_(fd) {
    ::tcgetattr(fd_, &before_);
    termios now = before_;
    // Not even signals: Ctrl-C must not leave a terminal behind that shows nothing.
    now.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG);
    ::tcsetattr(fd_, TCSAFLUSH, &now);
  }
  ~EchoOff() { ::tcsetattr(fd_, TCSAFLUSH, &before_); }
  EchoOff(const EchoOff&) = delete;
  EchoOff& operator=(const EchoOff&) = delete;

 private:
  int fd_;
  termios before_{};
};

}  // namespace

bool has_terminal() {
  return static_cast<bool>(Fd(::open("/dev/tty", O_RDWR | O_CLOEXEC)));
}
bool stdin_is_terminal() {
  return ::isatty(STDIN_FILENO) == 1;
}
bool stdout_is_terminal() {
  return ::isatty(STDOUT_FILENO) == 1;
}

Secret ask_hidden(const std::string& question) {
  const Fd tty = open_terminal();
  say(tty, question);
  Bytes line;
  {
    const EchoOff off(tty.get());
    line = read_hidden_line(tty);
  }
  say(tty, "\n");
  return Secret(std::move(line));
}

std::string ask_line(const std::string& question) {
  const Fd tty = open_terminal();
  say(tty, question);
  const Bytes line = read_line(tty);
  return {line.begin(), line.end()};
}

Secret read_value(const std::string& path, bool keep_line_end) {
  Bytes bytes;
  bytes.reserve(kValueMax + 1);
  const Fd file(path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    throw Failure(Exit::usage, path + ": " + errno_text(errno), "give a file that can be read");
  }
  std::uint8_t block[4096];
  for (ssize_t count; (count = ::read(file.get(), block, sizeof block)) > 0;) {
    bytes.insert(bytes.end(), block, block + count);
    if (bytes.size() > kValueMax) throw Failure(Exit::usage, path + ": over 64 KiB");
  }
  wipe({block, sizeof block});
  if (!keep_line_end && !bytes.empty() && bytes.back() == '\n') bytes.pop_back();
  if (bytes.empty()) throw Failure(Exit::usage, path + ": empty");
  return Secret(std::move(bytes));
}

}  // namespace rap::cli
