#include "host/worker/sandbox/seccomp.hpp"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>

#include "base/file.hpp"

namespace rap::sandbox {
namespace {

// Denied from the moment plugin code is mapped. EPERM and not a kill: libraries probe, and a clean
// refusal keeps an honest one alive.
constexpr const char* kDeniedOne[] = {
    // another program
    "execve", "execveat", "uselib",
    // other processes
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease",
    "kcmp", "pidfd_getfd", "migrate_pages", "move_pages",
    // the tree of mounts
    "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig",
    "fsmount", "fspick", "mount_setattr", "swapon", "swapoff", "quotactl", "quotactl_fd",
    "name_to_handle_at", "open_by_handle_at", "fanotify_init",
    // namespaces
    "unshare", "setns",
    // kernel machinery with a history of holes, none of it needed
    "bpf", "perf_event_open", "add_key", "request_key", "keyctl", "userfaultfd", "io_uring_setup",
    "io_uring_enter", "io_uring_register", "vmsplice", "lookup_dcookie", "nfsservctl",
    // the machine
    "init_module", "finit_module", "delete_module", "create_module", "kexec_load",
    "kexec_file_load", "reboot", "acct", "syslog", "iopl", "ioperm", "modify_ldt", "vhangup",
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname",
    // identity
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid",
    "setfsgid", "capset", "personality"};

// Denied with those above where no socket is needed, and where sockets only go out.
constexpr const char* kSocketsTwo[] = {"socket", "connect", "bind", "listen"};
constexpr const char* kServersTwo[] = {"bind", "listen"};

// Families of socket() for a process that has the network. getaddrinfo asks over netlink which
// addresses this host has, and assumes all kinds where it may not.
constexpr int kNetworkFamilies[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
constexpr int kClientFamilies[] = {AF_INET, AF_INET6};

// Their first argument is the process, 0 for oneself: allowed for oneself only.
constexpr const char* kSelfOnlyTwo[] = {"prlimit64", "sched_setaffinity", "sched_setattr",
                                        "sched_setparam", "sched_setscheduler"};

// They name a process that the kernel signals for this one, with a signal of its choice.
constexpr std::uint64_t kSignalOwnerFcntls[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG};
constexpr std::uint64_t kSignalOwnerIoctls[] = {FIOSETOWN, SIOCSPGRP};

// Denied when data begins to flow.
constexpr const char* kDeniedTwo[] = {"fork",
                                      "vfork",
                                      "memfd_create",
                                      "memfd_secret",
                                      "tkill",
                                      "rt_sigqueueinfo",
                                      "rt_tgsigqueueinfo",
                                      "pidfd_open",
                                      "pidfd_send_signal",
                                      "setpgid",
                                      "setsid",
                                      "setpriority",
                                      "ioprio_set",
                                      "mknod",
                                      "mknodat"};

constexpr std::uint64_t kNamespaceFlags[] = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
                                             CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
                                             CLONE_NEWNET};

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

// Adds rules; remembers the first failure.
class Builder {
 public:
  Builder() : context_(seccomp_init(SCMP_ACT_ALLOW)) {}

  void deny(const char* call, int error = EPERM) {
    const int number = seccomp_syscall_resolve_name(call);
    // This architecture never had it.
    if (number == __NR_SCMP_ERROR || number < 0) return;
    note(seccomp_rule_add_array(context_.get(), SCMP_ACT_ERRNO(error), number, 0, nullptr));
  }
  void deny_when(int number, scmp_arg_cmp condition) {
    note(seccomp_rule_add_array(context_.get(), SCMP_ACT_ERRNO(EPERM), number, 1, &condition));
  }

  Result<std::vector<sock_filter>> finish() {
    if (!context_ || failed_ != 0) {
      return fail(Errc::internal, "seccomp rules: " + errno_text(-failed_));
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return fail(Errc::internal, "pipe: " + errno_text(errno));
    const Fd in(ends[0]);
    Fd out(ends[1]);
    // A filter is at most 4096 instructions of 8 bytes, half of what a pipe holds.
    if (const int code = seccomp_export_bpf(context_.get(), out.get()); code != 0) {
      return fail(Errc::internal, "seccomp_export_bpf: " + errno_text(-code));
    }
    out.reset();
    std::vector<sock_filter> filter(4096);
    const ssize_t bytes = read(in.get(), filter.data(), filter.size() * sizeof(sock_filter));
    if (bytes <= 0 || bytes % static_cast<ssize_t>(sizeof(sock_filter)) != 0) {
      return fail(Errc::internal, "seccomp filter cannot be read back");
    }
    filter.resize(static_cast<std::size_t>(bytes) / sizeof(sock_filter));
    return filter;
  }

 private:
  void note(int code) {
    if (code != 0 && failed_ == 0) failed_ = code;
  }

  Context context_;
  int failed_ = 0;
};

scmp_arg_cmp has_bit(unsigned argument, std::uint64_t bit) {
  return {argument, SCMP_CMP_MASKED_EQ, bit, bit};
}

// Of an argument that the kernel takes as an int: whatever stands above it does not help.
scmp_arg_cmp is_int(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, 0xffffffffu, value};
}

// What stage one denies, sockets excepted.
void deny_everywhere(Builder& rules) {
  for (const char* call : kDeniedOne) rules.deny(call);
  // glibc falls back to clone, whose flags can be looked at; EPERM would break threads.
  rules.deny("clone3", ENOSYS);
  for (std::uint64_t flag : kNamespaceFlags) {
    rules.deny_when(SCMP_SYS(clone), has_bit(0, flag));
  }
  rules.deny_when(SCMP_SYS(socketpair), {0, SCMP_CMP_NE, AF_UNIX, 0});
  // Typing into a terminal one may still hold.
  rules.deny_when(SCMP_SYS(ioctl), is_int(1, TIOCSTI));
  rules.deny_when(SCMP_SYS(ioctl), is_int(1, TIOCLINUX));
}

// The kernel takes the numbers of socket() as ints: whatever stands above them does not help.
void deny_other_families(Builder& rules, std::span<const int> kept) {
  for (int family = 0; family <= AF_MAX; ++family) {
    if (std::find(kept.begin(), kept.end(), family) != kept.end()) continue;
    rules.deny_when(SCMP_SYS(socket), is_int(0, static_cast<std::uint64_t>(family)));
  }
}

// TCP, and UDP for the resolver; no raw packets, no other protocol.
void deny_other_transports(Builder& rules) {
  constexpr std::uint64_t kTypeMask = 0xf;  // SOCK_NONBLOCK and SOCK_CLOEXEC stand above it
  for (std::uint64_t type = 0; type <= kTypeMask; ++type) {
    if (type == SOCK_STREAM || type == SOCK_DGRAM) continue;
    rules.deny_when(SCMP_SYS(socket), {1, SCMP_CMP_MASKED_EQ, kTypeMask, type});
  }
  for (std::uint64_t protocol = 1; protocol < IPPROTO_UDP; ++protocol) {
    if (protocol != IPPROTO_TCP) rules.deny_when(SCMP_SYS(socket), {2, SCMP_CMP_EQ, protocol, 0});
  }
  rules.deny_when(SCMP_SYS(socket), {2, SCMP_CMP_GT, IPPROTO_UDP, 0});
}

// No new process, and none that is there already.
void deny_reaching_others(Builder& rules, std::uint32_t own_pid) {
  // Threads, yes; processes, no.
  rules.deny_when(SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0});
  for (const char* call : kSelfOnlyTwo) {
    rules.deny_when(seccomp_syscall_resolve_name(call), {0, SCMP_CMP_NE, 0, 0});
  }
  for (const std::uint64_t command : kSignalOwnerFcntls) {
    rules.deny_when(SCMP_SYS(fcntl), is_int(1, command));
  }
  for (const std::uint64_t request : kSignalOwnerIoctls) {
    rules.deny_when(SCMP_SYS(ioctl), is_int(1, request));
  }
  // abort() and raise() keep working; nobody else can be signalled.
  rules.deny_when(SCMP_SYS(kill), {0, SCMP_CMP_NE, own_pid, 0});
  rules.deny_when(SCMP_SYS(tgkill), {0, SCMP_CMP_NE, own_pid, 0});
}

}  // namespace

Result<std::vector<sock_filter>> filter_one(Network network) {
  Builder rules;
  deny_everywhere(rules);
  if (network == Network::none) {
    rules.deny_when(SCMP_SYS(socket), {0, SCMP_CMP_NE, AF_UNIX, 0});
  } else {
    deny_other_families(rules, kNetworkFamilies);
  }
  return rules.finish();
}

Result<std::vector<sock_filter>> filter_two(Network network) {
  Builder rules;
  for (const char* call : kDeniedTwo) rules.deny(call);
  if (network == Network::none) {
    for (const char* call : kSocketsTwo) rules.deny(call);
  } else {
    for (const char* call : kServersTwo) rules.deny(call);
    deny_other_families(rules, kClientFamilies);
    deny_other_transports(rules);
  }
  deny_reaching_others(rules, kPidPlaceholder);
  rules.deny_when(SCMP_SYS(mmap), has_bit(2, PROT_EXEC));
  rules.deny_when(SCMP_SYS(mprotect), has_bit(2, PROT_EXEC));
  rules.deny_when(SCMP_SYS(pkey_mprotect), has_bit(2, PROT_EXEC));
  rules.deny_when(SCMP_SYS(shmat), has_bit(2, SHM_EXEC));
  rules.deny_when(SCMP_SYS(prctl), is_int(0, PR_SET_DUMPABLE));
  rules.deny_when(SCMP_SYS(prctl), is_int(0, PR_SET_MM));
  rules.deny_when(SCMP_SYS(prctl), is_int(0, PR_SET_PTRACER));
  return rules.finish();
}

Result<std::vector<sock_filter>> filter_network(std::uint32_t own_pid) {
  Builder rules;
  deny_everywhere(rules);
  for (const char* call : kDeniedTwo) rules.deny(call);
  deny_reaching_others(rules, own_pid);
  deny_other_families(rules, kNetworkFamilies);
  return rules.finish();
}

Status install_filter(const sock_filter* filter, std::size_t count) {
  sock_fprog program{};
  program.len = static_cast<unsigned short>(count);
  program.filter = const_cast<sock_filter*>(filter);
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
    return fail(Errc::unsupported, "seccomp: " + errno_text(errno));
  }
  return {};
}

}  // namespace rap::sandbox
