#include "tests/integration/rapctl/rapctl_process.hpp"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

namespace rap::test {

RapctlProcess::RapctlProcess(MeshPlane& plane, const std::vector<std::string>& words,
                             const std::string& file)
    : plane_(plane) {
  std::vector<std::string> all = words;
  all.insert(all.begin(), RAP_BIN_DIR "/rapctl");
  std::vector<char*> argv;
  for (std::string& word : all) argv.push_back(word.data());
  argv.push_back(nullptr);
  winsize size{24, 80, 0, 0};
  child_ = ::forkpty(&person_, nullptr, nullptr, &size);
  if (child_ < 0) throw std::runtime_error("forkpty");
  if (child_ == 0) {
    ::setenv("RAP_CONFIG_DIR", plane.config_dir.c_str(), 1);
    ::setenv("TERM", "xterm", 1);
    if (!file.empty()) ::dup2(::open(file.c_str(), O_WRONLY), STDOUT_FILENO);
    ::close_range(3, ~0u, 0);  // the ports of the mesh are not its own
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ::fcntl(person_, F_SETFL, O_NONBLOCK);
}

RapctlProcess::~RapctlProcess() {
  if (child_ > 0) {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  ::close(person_);
}

void RapctlProcess::type(const std::string& text) {
  if (::write(person_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw std::runtime_error("the terminal takes nothing");
  }
}

bool RapctlProcess::read_some() {
  char block[4096];
  for (;;) {
    const ssize_t n = ::read(person_, block, sizeof block);
    if (n < 0 && errno == EAGAIN) return true;
    if (n <= 0) return false;
    output_.append(block, static_cast<std::size_t>(n));
  }
}

bool RapctlProcess::sees(const std::string& text) {
  bool open = true;
  const auto there = [&] {
    open = read_some();
    return output_.find(text, seen_) != std::string::npos;
  };
  plane_.until([&] { return there() || !open; });
  const std::size_t at = output_.find(text, seen_);
  if (at == std::string::npos) return false;
  seen_ = at + text.size();
  return true;
}

int RapctlProcess::ended() {
  int status = 0;
  bool done = false;
  plane_.until([&] {
    read_some();
    done = done || ::waitpid(child_, &status, WNOHANG) == child_;
    return done;
  });
  if (!done) return -1000;
  child_ = -1;
  read_some();
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace rap::test
