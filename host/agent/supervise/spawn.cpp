#include "host/agent/supervise/spawn.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

namespace rap::agent {
namespace {

#ifndef __NR_close_range
#define __NR_close_range 436
#endif
constexpr int kWorkerHung = 70;  // rule T3; docs/contracts/ipc.md
constexpr int kIdTypePidfd = 3;  // P_PIDFD; glibc's name needs a newer header in C++

// Between fork and exec: only what is safe after a fork of a process with threads.
[[noreturn]] void run_child(const SpawnRequest& request, char* const* argv,
                            char* const* environment, int error_pipe) {
  // Out of the way of every number that is going to be set.
  constexpr int kParkFrom = 64;
  const auto give_up = [&] {
    const int error = errno;
    [[maybe_unused]] const ssize_t n = ::write(error_pipe, &error, sizeof error);
    ::_exit(127);
  };
  ::setsid();
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signal = 1; signal < 32; ++signal) ::signal(signal, SIG_DFL);

  error_pipe = ::fcntl(error_pipe, F_DUPFD_CLOEXEC, kParkFrom);
  const int log = ::fcntl(request.log, F_DUPFD_CLOEXEC, kParkFrom);
  int parked[8];
  std::size_t count = 0;
  for (const auto& [number, ours] : request.descriptors) {
    if (count < std::size(parked)) parked[count++] = ::fcntl(ours, F_DUPFD_CLOEXEC, kParkFrom);
  }
  const int null = ::open("/dev/null", O_RDWR);
  if (null < 0 || ::dup2(null, 0) < 0 || ::dup2(log, 1) < 0 || ::dup2(log, 2) < 0) give_up();
  int highest = 2;
  for (std::size_t i = 0; i < count; ++i) {
    const int number = request.descriptors[i].first;
    if (::dup2(parked[i], number) < 0) give_up();
    if (number > highest) highest = number;
  }
  // Holes below the highest number, and everything above but the pipe that closes on exec.
  for (int fd = 3; fd < highest; ++fd) {
    bool wanted = false;
    for (std::size_t i = 0; i < count; ++i) wanted |= request.descriptors[i].first == fd;
    if (!wanted) ::close(fd);
  }
  if (error_pipe > highest + 1) ::syscall(__NR_close_range, highest + 1, error_pipe - 1, 0);
  ::syscall(__NR_close_range, error_pipe + 1, ~0u, 0);
  ::execve(argv[0], argv, environment);
  give_up();
  ::_exit(127);
}

Errc code_of(int error) {
  if (error == ENOENT || error == ENOTDIR) return Errc::not_found;
  if (error == EACCES || error == ENOEXEC || error == EPERM) return Errc::forbidden;
  if (error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE) {
    return Errc::exhausted;
  }
  return Errc::internal;
}

}  // namespace

Result<Fd> open_pidfd(int pid) {
  Fd out(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!out) return fail(code_of(errno == ESRCH ? ENOENT : errno), "pid " + std::to_string(pid));
  return out;
}

int pid_of(int pidfd) {
  auto text = read_text_file("/proc/self/fdinfo/" + std::to_string(pidfd), 4096);
  if (!text) return 0;
  const std::size_t at = text->find("\nPid:\t");
  if (at == std::string::npos) return 0;
  int pid = 0;  // -1 once it has ended
  std::from_chars(text->data() + at + 6, text->data() + text->size(), pid);
  return std::max(0, pid);
}

bool send_signal(int pidfd, int signal) {
  return ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0;
}

std::string ExitInfo::text() const {
  if (signal != 0) {
    const char* words = ::strsignal(signal);
    return "ended by signal " + std::to_string(signal) + " (" + (words ? words : "?") + ")";
  }
  if (code >= 0) return "exited with status " + std::to_string(code);
  return "ended";
}

std::string worker_end_text(std::string_view who, const ExitInfo& how) {
  if (how.code == kWorkerHung) return "the plugin hung";
  for (const int own : {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS}) {
    if (how.signal != own) continue;
    return std::string(who) + " crashed by signal " + std::to_string(own) + " (" +
           ::strsignal(own) + ")";
  }
  return std::string(who) + " " + how.text();
}

ExitInfo reap(int pidfd) {
  ExitInfo out;
  siginfo_t info{};
  if (::waitid(static_cast<idtype_t>(kIdTypePidfd), static_cast<id_t>(pidfd), &info,
               WEXITED | WNOHANG) != 0 ||
      info.si_pid == 0) {
    return out;
  }
  if (info.si_code == CLD_EXITED) {
    out.code = info.si_status;
  } else {
    out.signal = info.si_status;
  }
  return out;
}

Result<Spawned> spawn(const SpawnRequest& request) {
  // Everything is allocated before the fork.
  std::string program = request.program.string();
  std::vector<std::string> arguments = request.arguments;
  std::vector<char*> argv{program.data()};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  char path[] = "PATH=/usr/bin:/bin";
  char language[] = "LANG=C.UTF-8";
  char* environment[] = {path, language, nullptr};

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(code_of(errno), "pipe: " + errno_text(errno));
  Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return fail(code_of(errno), "fork: " + errno_text(errno));
  if (child == 0) run_child(request, argv.data(), environment, write_end.get());
  write_end.reset();

  int error = 0;
  ssize_t n = 0;
  do {
    n = ::read(read_end.get(), &error, sizeof error);
  } while (n < 0 && errno == EINTR);
  if (n == sizeof error) {
    ::waitpid(child, nullptr, 0);
    return fail(code_of(error), program + ": " + errno_text(error));
  }
  // Our own child, not reaped: the pid cannot be another process.
  auto pidfd = open_pidfd(child);
  if (!pidfd) {
    // Nobody could watch or find it.
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return fail(std::move(pidfd.error()));
  }
  return Spawned{child, std::move(*pidfd)};
}

}  // namespace rap::agent
