#include "host/worker/sandbox/anchor.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "host/worker/sandbox/privileges.hpp"

namespace rap::sandbox {
namespace {

// One word per packet on the line between anchor and inner side.
std::string hear(int line) {
  char word[256];
  ssize_t n = 0;
  while ((n = recv(line, word, sizeof word, 0)) < 0 && errno == EINTR) {
  }
  return n > 0 ? std::string(word, static_cast<std::size_t>(n)) : std::string();
}

void say(int line, const std::string& word) {
  (void)!send(line, word.data(), std::min<std::size_t>(word.size(), 255), MSG_NOSIGNAL);
}

bool write_proc(pid_t pid, const char* file, const std::string& text) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + file;
  const Fd out(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return out && write(out.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Inside everybody is nobody; outside that is nobody too when we may choose, and else ourselves.
Status write_maps(pid_t pid) {
  const bool privileged = geteuid() == 0;
  const std::string nobody = std::to_string(kNobody) + " ";
  const std::string uid = nobody + std::to_string(privileged ? kNobody : geteuid()) + " 1";
  const std::string gid = nobody + std::to_string(privileged ? kNobody : getegid()) + " 1";
  if (!privileged && !write_proc(pid, "setgroups", "deny")) {
    return fail(Errc::unsupported, "setgroups: " + errno_text(errno));
  }
  if (!write_proc(pid, "uid_map", uid) || !write_proc(pid, "gid_map", gid)) {
    return fail(Errc::unsupported, "id map: " + errno_text(errno));
  }
  return {};
}

int flags_of(const Plan& plan) {
  int flags = 0;
  if (plan.user) flags |= CLONE_NEWUSER;
  if (plan.root) flags |= CLONE_NEWNS | CLONE_NEWPID;
  if (plan.empty) flags |= CLONE_NEWIPC | CLONE_NEWUTS;
  if (plan.empty && !plan.host_network) flags |= CLONE_NEWNET;
  return flags;
}

// In the intermediate process; true in the inner one.
bool enter_and_fork(const Plan& plan, int line) {
  if (const int flags = flags_of(plan); flags != 0 && unshare(flags) != 0) {
    say(line, "!unshare: " + errno_text(errno));
    _exit(1);
  }
  say(line, "unshared");
  if (hear(line) != "mapped") _exit(1);
  const pid_t inner = fork();
  if (inner == 0) return true;
  say(line, inner > 0 ? "pid " + std::to_string(inner) : "!fork: " + errno_text(errno));
  _exit(0);
}

[[noreturn]] void exit_like(int status) {
  if (WIFSIGNALED(status)) {
    signal(WTERMSIG(status), SIG_DFL);
    sigset_t all;
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    kill(getpid(), WTERMSIG(status));
  }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

// What the anchor waits for, held back from now on: with "go" the inner side may work, and a
// SIGTERM is for it.
sigset_t hold_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&signals, number);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// Holds nothing and may do nothing but signal and wait.
[[noreturn]] void stay(pid_t inner, const sigset_t& signals) {
  close_range(0, ~0u, 0);
  (void)!chdir("/");
  if (geteuid() == 0) {
    (void)!setgroups(0, nullptr);
    (void)!setresgid(kNobody, kNobody, kNobody);
    (void)!setresuid(kNobody, kNobody, kNobody);
  }
  Report ignored;
  (void)!set_no_new_privs(ignored).has_value();
  drop_capabilities(ignored);
  while (true) {
    int status = 0;
    pid_t ended = 0;
    while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
      if (ended == inner) exit_like(status);
    }
    const int number = sigwaitinfo(&signals, nullptr);
    if (number > 0 && number != SIGCHLD) kill(inner, number);
  }
}

Error setup_error(pid_t middle, const std::string& word) {
  int status = 0;
  waitpid(middle, &status, 0);
  return {Errc::unsupported, word.empty() ? "setup process died" : word.substr(1)};
}

}  // namespace

void Gate::ready() {
  say(line_.get(), "ready");
  if (hear(line_.get()) != "go") _exit(1);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  // The anchor may have died before that took effect; it keeps the line until it hears this.
  char nothing = 0;
  if (recv(line_.get(), &nothing, 1, MSG_DONTWAIT) == 0) _exit(1);
  say(line_.get(), "bound");
  line_.reset();
}

void Gate::failed(const std::string& why) {
  say(line_.get(), "!" + why);
  _exit(1);
}

Result<Gate> start_inner(const Plan& plan) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail(Errc::internal, "socketpair: " + errno_text(errno));
  }
  Fd outside(ends[0]);
  Fd inside(ends[1]);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  const pid_t middle = fork();
  if (middle < 0) return fail(Errc::exhausted, "fork: " + errno_text(errno));
  if (middle == 0) {
    outside.reset();
    enter_and_fork(plan, inside.get());
    return Gate(std::move(inside));
  }
  inside.reset();
  std::string word = hear(outside.get());
  if (word != "unshared") return fail(setup_error(middle, word));
  if (plan.user) {
    if (auto maps = write_maps(middle); !maps) {
      outside.reset();
      (void)setup_error(middle, "");
      return fail(maps.error());
    }
  }
  say(outside.get(), "mapped");
  // "pid" of the intermediate and the inner process's first word come in any order.
  pid_t inner = 0;
  bool ready = false;
  while (inner == 0 || !ready) {
    word = hear(outside.get());
    if (word == "ready") {
      ready = true;
    } else if (word.rfind("pid ", 0) == 0) {
      inner = static_cast<pid_t>(std::stol(word.substr(4)));
    } else {
      (void)setup_error(middle, word);
      while (waitpid(-1, nullptr, 0) > 0) {
      }
      return fail(Errc::unsupported, word.empty() ? "setup process died" : word.substr(1));
    }
  }
  int status = 0;
  waitpid(middle, &status, 0);
  const sigset_t signals = hold_signals();
  say(outside.get(), "go");
  (void)hear(outside.get());  // "bound", or the inner process is dead already
  stay(inner, signals);
}

}  // namespace rap::sandbox
