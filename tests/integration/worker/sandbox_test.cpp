// The real sandbox on this kernel. A layer that the kernel does not offer is reported by name, and
// what the remaining layers promise is tested all the same.
#include "host/worker/sandbox.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "tests/integration/worker/in_sandbox.hpp"

namespace rap::test {
namespace {

using sandbox::Entered;
using sandbox::LayerState;

// "name=ok" or "name=EPERM" and the like.
std::string tell(const char* what, bool worked) {
  return std::string(what) + "=" + (worked ? "ok" : strerrorname_np(errno)) + "\n";
}

bool opens(const char* path, int flags) {
  const int fd = open(path, flags | O_CLOEXEC, 0600);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

bool connects_udp() {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

bool unix_socket() {
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

bool forks() {
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  if (pid > 0) waitpid(pid, nullptr, 0);
  return pid > 0;
}

bool makes_memfd() {
  const int fd = static_cast<int>(syscall(SYS_memfd_create, "x", 0));
  if (fd >= 0) close(fd);
  return fd >= 0;
}

bool maps(int protection) {
  void* at = mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at != MAP_FAILED) munmap(at, 4096);
  return at != MAP_FAILED;
}

bool starts_thread() {
  bool ran = false;
  std::thread thread([&ran] { ran = true; });
  thread.join();
  return ran;
}

std::string attempts() {
  std::string out;
  char* const none[] = {nullptr};
  out += tell("write-root", opens("/x", O_CREAT | O_WRONLY));
  out += tell("write-tmp", opens("/tmp/x", O_CREAT | O_WRONLY));
  out += tell("read-passwd", opens("/etc/passwd", O_RDONLY));
  out += tell("read-shadow", opens("/etc/shadow", O_RDONLY));
  out += tell("list-root", opens("/", O_RDONLY | O_DIRECTORY));
  out += tell("list-proc", opens("/proc", O_RDONLY | O_DIRECTORY));
  out += tell("unix-socket", unix_socket());
  out += tell("inet-socket", connects_udp());
  out += tell("fork", forks());
  out += tell("exec", execve("/usr/lib/ld-linux-x86-64.so.2", none, none) == 0);
  out += tell("ptrace", ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0);
  out += tell("memfd", makes_memfd());
  out += tell("map-exec", maps(PROT_READ | PROT_EXEC));
  out += tell("map-rwx", maps(PROT_READ | PROT_WRITE | PROT_EXEC));
  out += tell("unshare", unshare(CLONE_NEWUSER) == 0);
  out += tell("mount", syscall(SYS_mount, "x", "/proc", "tmpfs", 0, nullptr) == 0);
  out += tell("bpf", syscall(SYS_bpf, 0, nullptr, 0) == 0);
  out += tell("kill-parent", kill(getppid(), 0) == 0);
  out += tell("kill-all", kill(-1, 0) == 0);
  out += tell("kill-self", kill(getpid(), 0) == 0);
  out += tell("setuid-0", setuid(0) == 0);
  out += tell("dumpable", prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
  // The kernel takes an int: a bit above it must not help.
  out += tell("dumpable-again", syscall(SYS_prctl, PR_SET_DUMPABLE | 1ul << 32, 1, 0, 0, 0) == 0);
  out += tell("thread", starts_thread());
  const int self = getpid();
  const int other = self + 1;  // whether it exists or not: the filter comes first
  const f_owner_ex owner{F_OWNER_PID, other};
  rlimit limit{};
  out += tell("own-limits", getrlimit(RLIMIT_CPU, &limit) == 0);
  out += tell("limits-of-others", prlimit(other, RLIMIT_CPU, &limit, nullptr) == 0);
  int ends[2] = {-1, -1};
  (void)!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
  out += tell("signal-owner", fcntl(ends[0], F_SETOWN, self) == 0);
  out += tell("signal-owner-ex", fcntl(ends[0], F_SETOWN_EX, &owner) == 0);
  out += tell("signal-number", fcntl(ends[0], F_SETSIG, SIGKILL) == 0);
  out += tell("signal-owner-ioctl", ioctl(ends[0], FIOSETOWN, &self) == 0);
  out += tell("signal-group-ioctl", ioctl(ends[0], SIOCSPGRP, &self) == 0);
  out += tell("non-blocking", fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
  close(ends[0]);
  close(ends[1]);
  cpu_set_t all;
  CPU_ZERO(&all);
  for (int i = 0; i < CPU_SETSIZE; ++i) CPU_SET(i, &all);
  const sched_param usual{};
  out += tell("own-affinity", sched_setaffinity(0, sizeof all, &all) == 0);
  out += tell("affinity-of-others", sched_setaffinity(other, sizeof all, &all) == 0);
  out += tell("scheduler-of-others", sched_setscheduler(other, SCHED_OTHER, &usual) == 0);
  out += tell("io-priority", syscall(SYS_ioprio_set, 1, other, 2 << 13) == 0);
  return out;
}

std::string value_of(const std::string& lines, const std::string& name) {
  const std::size_t at = lines.find(name + "=");
  if (at == std::string::npos || (at > 0 && lines[at - 1] != '\n')) return "missing";
  const std::size_t from = at + name.size() + 1;
  return lines.substr(from, lines.find('\n', from) - from);
}

std::string layers_text(const sandbox::Report& report) {
  std::string out;
  for (const auto& layer : report.layers()) {
    out += "layer " + layer.name + " " + std::string(sandbox::name(layer.state)) +
           (layer.detail.empty() ? "" : " (" + layer.detail + ")") + "\n";
  }
  return out;
}

// Everything that leads out of a state directory, and what may be done in it.
TEST(Sandbox, AStateDirectoryIsAllThatCanBeWrittenAndLeadsNowhere) {
  char pattern[] = "/tmp/rap-sandbox-XXXXXX";
  const std::string outside = mkdtemp(pattern);
  const std::string inside = outside + "/inside";
  ASSERT_EQ(mkdir(inside.c_str(), 0700), 0);
  std::ofstream(outside + "/secret") << "of the host";
  if (geteuid() == 0) {
    ASSERT_EQ(chown(inside.c_str(), sandbox::kNobody, sandbox::kNobody), 0);
  }
  const int directory = open(inside.c_str(), O_RDONLY | O_DIRECTORY);
  const auto outcome = run_in_sandbox(
      [](sandbox::Entered& entered) -> std::string {
        if (entered.report.state("mountns") != LayerState::active) return "no mount namespace";
        const int state = entered.state_directory.get();
        auto two = sandbox::StageTwo::prepare(entered.kept());
        if (!two || !sandbox::stage_one(entered.report, entered.kept()) ||
            !two->apply(entered.report)) {
          return "stages";
        }
        const Fd file(openat(state, "file", O_CREAT | O_RDWR, 0600));
        if (!file || write(file.get(), "kept", 4) != 4) return "write: " + errno_text(errno);
        if (mkdirat(state, "sub", 0700) != 0) return "mkdir";
        if (renameat(state, "file", state, "sub/file") != 0) return "rename";
        for (const char* out : {"../secret", "..", "sub/../../secret", "/state/../secret"}) {
          const Fd up(openat(state, out, O_RDONLY));
          char text[4] = {};
          if (up && read(up.get(), text, sizeof text) > 0) return std::string("escape by ") + out;
        }
        if (openat(state, "../new", O_CREAT | O_WRONLY, 0600) >= 0) return "wrote beside it";
        if (symlinkat("/etc/passwd", state, "link") == 0) return "made a link";
        if (mknodat(state, "device", S_IFCHR | 0600, makedev(1, 3)) == 0) return "made a device";
        return "ok";
      },
      {.keep_fds = {}, .state_directory = directory});
  close(directory);
  if (outcome.text != "no mount namespace") {
    EXPECT_EQ(outcome.text, "ok");
    std::string kept;
    std::ifstream(inside + "/sub/file") >> kept;
    EXPECT_EQ(kept, "kept");
  }
  std::filesystem::remove_all(outside);
}

// A listening TCP socket of the host on loopback, and its port.
struct HostSocket {
  HostSocket() : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    (void)!bind(fd.get(), reinterpret_cast<sockaddr*>(&at), size);
    (void)!listen(fd.get(), 8);
    getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &size);
    address = at;
  }
  Fd fd;
  sockaddr_in address{};
};

bool socket_of(int family, int type, int protocol = 0) {
  return static_cast<bool>(Fd(socket(family, type, protocol)));
}

bool resolves(const char* name, const addrinfo& hints) {
  addrinfo* found = nullptr;
  const int code = getaddrinfo(name, "80", &hints, &found);
  if (code == 0) freeaddrinfo(found);
  errno = code == 0 ? 0 : ENOENT;
  return code == 0;
}

std::string network_attempts(const sockaddr_in& host) {
  std::string out;
  const auto* to = reinterpret_cast<const sockaddr*>(&host);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  const Fd tcp(socket(AF_INET, SOCK_STREAM, 0));
  out += tell("tcp-connect", connect(tcp.get(), to, sizeof host) == 0);
  const Fd free(socket(AF_INET, SOCK_STREAM, 0));
  out += tell("tcp-bind", bind(free.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) == 0);
  out += tell("tcp-listen", listen(free.get(), 1) == 0);
  const Fd udp(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP));
  out += tell("udp-send", sendto(udp.get(), "x", 1, 0, to, sizeof host) == 1);
  out += tell("udp-bind", bind(udp.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) == 0);
  out += tell("tcp6", socket_of(AF_INET6, SOCK_STREAM) || errno == EAFNOSUPPORT);
  out += tell("netlink", socket_of(AF_NETLINK, SOCK_RAW));
  out += tell("packet", socket_of(AF_PACKET, SOCK_RAW));
  out += tell("vsock", socket_of(AF_VSOCK, SOCK_STREAM));
  out += tell("raw", socket_of(AF_INET, SOCK_RAW, IPPROTO_ICMP));
  out += tell("ping", socket_of(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
  out += tell("sctp", socket_of(AF_INET, SOCK_STREAM, IPPROTO_SCTP));
  out += tell("mptcp", socket_of(AF_INET, SOCK_STREAM, IPPROTO_MPTCP));
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  out += tell("resolve", resolves("localhost", hints));
  hints.ai_flags = AI_ADDRCONFIG;
  out += tell("resolve-addrconfig", resolves("localhost", hints));
  out += tell("read-hosts", opens("/etc/hosts", O_RDONLY));
  out += tell("write-hosts", opens("/etc/hosts", O_WRONLY));
  out += tell("read-home", opens("/root", O_RDONLY | O_DIRECTORY));
  out += tell("read-run", opens("/run", O_RDONLY | O_DIRECTORY));
  return out;
}

TEST(Sandbox, ANetClientGoesOutAndNeverListens) {
  const HostSocket host;
  const auto seen = run_in_sandbox(
      [&host](Entered& entered) -> std::string {
        auto two = sandbox::StageTwo::prepare(entered.kept());
        if (!two || !sandbox::stage_one(entered.report, entered.kept()) ||
            !two->apply(entered.report)) {
          return "stages";
        }
        rlimit files{};
        getrlimit(RLIMIT_NOFILE, &files);
        return layers_text(entered.report) + network_attempts(host.address) + attempts() +
               "descriptors=" + std::to_string(files.rlim_cur) + "\n";
      },
      {.keep_fds = {}, .network = sandbox::Network::client});
  std::cout << seen.text;
  EXPECT_NE(seen.text.find("layer network active"), std::string::npos);
  EXPECT_EQ(seen.text.find("layer netns"), std::string::npos) << "it has none and must not say so";
  for (const char* kept : {"tcp-connect", "udp-send", "tcp6", "resolve", "resolve-addrconfig",
                           "read-hosts", "thread", "kill-self"}) {
    EXPECT_EQ(value_of(seen.text, kept), "ok") << kept;
  }
  // What net.none denies, but for sockets of the Internet.
  for (const char* denied : {"tcp-listen",   "udp-bind",
                             "netlink",      "packet",
                             "vsock",        "raw",
                             "ping",         "sctp",
                             "mptcp",        "unix-socket",
                             "fork",         "exec",
                             "ptrace",       "memfd",
                             "map-exec",     "map-rwx",
                             "unshare",      "mount",
                             "bpf",          "kill-parent",
                             "kill-all",     "setuid-0",
                             "dumpable",     "limits-of-others",
                             "signal-owner", "affinity-of-others",
                             "io-priority"}) {
    EXPECT_EQ(value_of(seen.text, denied), "EPERM") << denied;
  }
  EXPECT_NE(value_of(seen.text, "tcp-bind"), "ok");
  for (const char* denied : {"write-hosts", "read-home", "read-run", "read-shadow", "write-tmp"}) {
    EXPECT_NE(value_of(seen.text, denied), "ok") << denied;
  }
  EXPECT_GT(std::stoi(value_of(seen.text, "descriptors")), 1024);
}

TEST(Sandbox, ReportsEveryLayer) {
  auto seen = run_in_sandbox([](Entered& entered) {
    (void)sandbox::stage_one(entered.report).has_value();
    return layers_text(entered.report);
  });
  std::cout << seen.text;
  for (const char* layer :
       {"userns", "mountns", "pidns", "netns", "ipcns", "utsns", "no_new_privs", "capabilities",
        "dumpable", "rlimits", "descriptors", "environment", "landlock", "seccomp"}) {
    EXPECT_NE(seen.text.find("layer " + std::string(layer) + " "), std::string::npos) << layer;
  }
  EXPECT_NE(seen.text.find("layer seccomp active"), std::string::npos);
  EXPECT_NE(seen.text.find("layer no_new_privs active"), std::string::npos);
  EXPECT_TRUE(WIFEXITED(seen.status) && WEXITSTATUS(seen.status) == 0);
}

TEST(Sandbox, DeniesEveryEscapeAfterStageTwo) {
  auto seen = run_in_sandbox([](Entered& entered) -> std::string {
    auto two = sandbox::StageTwo::prepare();
    if (!two) return two.error().text();
    if (auto one = sandbox::stage_one(entered.report); !one) return one.error().text();
    if (auto done = two->apply(entered.report); !done) return done.error().text();
    std::string out = attempts();
    const bool files = entered.report.state("mountns") == LayerState::active ||
                       entered.report.state("landlock") == LayerState::active;
    return out + "files=" + (files ? "closed" : "open") + "\n";
  });
  std::cout << seen.text;
  for (const char* denied : {"unix-socket",
                             "inet-socket",
                             "fork",
                             "exec",
                             "ptrace",
                             "memfd",
                             "map-exec",
                             "map-rwx",
                             "unshare",
                             "mount",
                             "bpf",
                             "kill-parent",
                             "kill-all",
                             "setuid-0",
                             "dumpable",
                             "limits-of-others",
                             "signal-owner",
                             "signal-owner-ex",
                             "signal-number",
                             "signal-owner-ioctl",
                             "signal-group-ioctl",
                             "affinity-of-others",
                             "scheduler-of-others",
                             "io-priority"}) {
    EXPECT_EQ(value_of(seen.text, denied), "EPERM") << denied;
  }
  if (value_of(seen.text, "files") == "closed") {
    for (const char* denied :
         {"write-root", "write-tmp", "read-passwd", "read-shadow", "list-root", "list-proc"}) {
      EXPECT_NE(value_of(seen.text, denied), "ok") << denied;
    }
  } else {
    std::cout << "neither mount namespace nor Landlock here: files are not tested\n";
  }
  for (const char* kept : {"kill-self", "own-limits", "own-affinity", "non-blocking"}) {
    EXPECT_EQ(value_of(seen.text, kept), "ok") << kept;
  }
  EXPECT_EQ(value_of(seen.text, "thread"), "ok");
}

TEST(Sandbox, AfterStageOneForksButDoesNotExec) {
  auto seen = run_in_sandbox([](Entered& entered) -> std::string {
    if (auto one = sandbox::stage_one(entered.report); !one) return one.error().text();
    return attempts();
  });
  EXPECT_EQ(value_of(seen.text, "fork"), "ok");
  EXPECT_EQ(value_of(seen.text, "map-exec"), "ok");
  for (const char* denied : {"exec", "ptrace", "inet-socket", "unshare", "mount", "bpf"}) {
    EXPECT_EQ(value_of(seen.text, denied), "EPERM") << denied;
  }
}

TEST(Sandbox, KeepsOnlyTheListedDescriptorsAndNoEnvironment) {
  setenv("RAP_TEST_SECRET", "x", 1);
  const int extra = dup(0);
  auto seen = run_in_sandbox([extra](Entered&) {
    return tell("extra", fcntl(extra, F_GETFD) >= 0) +
           tell("environment", getenv("RAP_TEST_SECRET") != nullptr) + "core=" +
           [] {
             rlimit limit{};
             getrlimit(RLIMIT_CORE, &limit);
             return std::to_string(limit.rlim_max);
           }() +
           "\n";
  });
  close(extra);
  EXPECT_EQ(value_of(seen.text, "extra"), "EBADF");
  EXPECT_NE(value_of(seen.text, "environment"), "ok");
  EXPECT_EQ(value_of(seen.text, "core"), "0");
}

TEST(Sandbox, TheAnchorExitsAsTheInnerProcessDoes) {
  auto exited = run_in_sandbox([](Entered&) -> std::string { _exit(42); });
  EXPECT_TRUE(WIFEXITED(exited.status));
  EXPECT_EQ(WEXITSTATUS(exited.status), 42);
  auto killed = run_in_sandbox([](Entered& entered) -> std::string {
    // pid 1 of a namespace cannot kill itself with a signal it does not handle; abort() ends it.
    (void)entered;
    abort();
  });
  EXPECT_TRUE(WIFSIGNALED(killed.status));
}

bool write_file(const char* path, const std::string& text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  const bool done = fd >= 0 && write(fd, text.data(), text.size()) > 0;
  if (fd >= 0) close(fd);
  return done;
}

// In a user namespace of its own, where the administrator forbids any further one.
bool forbid_user_namespaces() {
  const std::string uid = "0 " + std::to_string(geteuid()) + " 1";
  return unshare(CLONE_NEWUSER) == 0 && write_file("/proc/self/setgroups", "deny") &&
         write_file("/proc/self/uid_map", uid) &&
         write_file("/proc/sys/user/max_user_namespaces", "0");
}

TEST(Sandbox, DegradesHonestlyWhereUserNamespacesAreForbidden) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    std::string text = "absent";
    if (forbid_user_namespaces()) {
      text = run_in_sandbox([](Entered& entered) -> std::string {
               auto two = sandbox::StageTwo::prepare();
               if (!two || !sandbox::stage_one(entered.report) || !two->apply(entered.report)) {
                 return "stages";
               }
               return layers_text(entered.report) + attempts();
             }).text;
    }
    (void)!write(ends[1], text.data(), text.size());
    _exit(0);
  }
  close(ends[1]);
  std::string text(8192, '\0');
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, read(ends[0], text.data(), 8192))));
  close(ends[0]);
  waitpid(child, nullptr, 0);
  if (text == "absent") GTEST_SKIP() << "this host has no user namespaces to begin with";
  EXPECT_NE(text.find("layer userns absent (unshare"), std::string::npos) << text;
  for (const char* denied : {"inet-socket", "fork", "exec", "ptrace", "memfd", "map-exec",
                             "unshare", "mount", "bpf", "kill-all"}) {
    EXPECT_EQ(value_of(text, denied), "EPERM") << denied;
  }
  EXPECT_NE(value_of(text, "read-shadow"), "ok");
}

TEST(Sandbox, TheInnerProcessDiesWithTheAnchor) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    auto entered = sandbox::enter({.keep_fds = {ends[1]}});
    (void)!write(ends[1], "x", 1);
    pause();
    _exit(0);
  }
  close(ends[1]);
  char byte = 0;
  ASSERT_EQ(read(ends[0], &byte, 1), 1);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(read(ends[0], &byte, 1), 0);  // end of file: nobody holds the pipe any more
  close(ends[0]);
}

}  // namespace
}  // namespace rap::test
