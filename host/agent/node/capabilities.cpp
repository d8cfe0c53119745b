#include "host/agent/node/capabilities.hpp"

#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <optional>

#include "base/file.hpp"

namespace rap::agent {
namespace {

namespace fs = std::filesystem;

bool executable(const fs::path& path) {
  return ::access(path.c_str(), X_OK) == 0;
}

std::optional<fs::path> find_library(const ProbeInput& input, std::string_view soname) {
  for (const fs::path& directory : input.library_directories) {
    std::error_code ec;
    if (fs::exists(directory / soname, ec)) return directory / soname;
  }
  return std::nullopt;
}

// In a child, because what unshare gives is never given back.
bool can_unshare(int flags) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::unshare(flags) == 0 ? 0 : 1);
  if (child < 0) return false;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int landlock_abi() {
#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset 444
#endif
  constexpr unsigned kVersionFlag = 1;
  return static_cast<int>(::syscall(__NR_landlock_create_ruleset, nullptr, 0, kVersionFlag));
}

bool seccomp_filter_available() {
  const std::uint32_t action = SECCOMP_RET_ERRNO;
  return ::syscall(__NR_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

std::vector<Capability> probe_layers() {
  std::vector<Capability> out;
  const int user = ::geteuid() == 0 ? 0 : CLONE_NEWUSER;
  if (can_unshare(CLONE_NEWUSER)) out.push_back({"userns", "unshare"});
  if (can_unshare(user | CLONE_NEWNS)) out.push_back({"mountns", "unshare"});
  if (can_unshare(user | CLONE_NEWPID)) out.push_back({"pidns", "unshare"});
  if (can_unshare(user | CLONE_NEWNET)) out.push_back({"netns", "unshare"});
  if (const int abi = landlock_abi(); abi > 0) {
    out.push_back({"landlock", "ABI " + std::to_string(abi)});
  }
  if (seccomp_filter_available()) out.push_back({"seccomp", "filter"});
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) >= 0) out.push_back({"no_new_privs", "prctl"});
  out.push_back({"rlimits", "setrlimit"});
  return out;
}

// Which protocol library a worker of this kind needs; the plugin's manifest says the same later.
struct WorkerKind {
  std::string_view capability;
  std::string_view library;
};
constexpr WorkerKind kWorkerKinds[] = {
    {"can_run_ssh_worker", "libssh.so.4"},
    {"can_run_rdp_worker", "libfreerdp2.so.2"},
    {"can_run_vnc_worker", "libvncclient.so.1"},
    {"can_route_mesh", ""},   // a plugin with the network, in the same worker
    {"can_run_plugins", ""},  // roles that only a release declares
};

}  // namespace

std::vector<fs::path> system_library_directories() {
  return {"/lib/x86_64-linux-gnu",
          "/usr/lib/x86_64-linux-gnu",
          "/usr/local/lib",
          "/lib64",
          "/usr/lib64",
          "/lib",
          "/usr/lib"};
}

HostAbilities probe_host(const ProbeInput& input) {
  HostAbilities out;
  out.sandbox_layers = probe_layers();
  bool seccomp = false;
  for (const Capability& layer : out.sandbox_layers) seccomp |= layer.name == "seccomp";

  // seccomp is the one layer a worker never goes without.
  if (executable(input.worker) && seccomp) {
    for (const WorkerKind& kind : kWorkerKinds) {
      if (kind.library.empty()) {
        out.capabilities.push_back({std::string(kind.capability), "rap-worker"});
      } else if (const auto library = find_library(input, kind.library)) {
        out.capabilities.push_back({std::string(kind.capability), library->string()});
      }
    }
  }
  if (executable(input.listener)) {
    out.capabilities.push_back({"can_accept_client_ingress", "rap-mesh-listener"});
    out.capabilities.push_back({"can_egress_private_network", "rap-mesh-listener"});
  }
  return out;
}

}  // namespace rap::agent
