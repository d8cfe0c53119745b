#include "host/listener/confine.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "host/worker/sandbox/landlock.hpp"
#include "host/worker/sandbox/privileges.hpp"
#include "host/worker/sandbox/root_fs.hpp"
#include "host/worker/sandbox/seccomp.hpp"

namespace rap::listener {

namespace {

using sandbox::LayerState;
using sandbox::Report;

Status leave_root(Report& report) {
  if (::geteuid() != 0) {
    report.set("user", LayerState::absent, "not started as root");
    sandbox::drop_capabilities(report);
    return {};
  }
  for (int each = 0; ::prctl(PR_CAPBSET_READ, each, 0, 0, 0) >= 0; ++each) {
    if (each != CAP_NET_BIND_SERVICE) ::prctl(PR_CAPBSET_DROP, each, 0, 0, 0);
  }
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || ::setgroups(0, nullptr) != 0 ||
      ::setresgid(kListenerId, kListenerId, kListenerId) != 0 ||
      ::setresuid(kListenerId, kListenerId, kListenerId) != 0) {
    return fail(Errc::unsupported, "leave root: " + errno_text(errno));
  }
  ::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct kept[2] = {};
  kept[0].permitted = kept[0].effective = 1u << CAP_NET_BIND_SERVICE;
  if (::syscall(SYS_capset, &header, kept) != 0) {
    return fail(Errc::unsupported, "capabilities: " + errno_text(errno));
  }
  report.set("user", LayerState::active, std::to_string(kListenerId));
  report.set("capabilities", LayerState::active, "ports below 1024");
  return {};
}

void restrict_files(Report& report) {
  sandbox::LandlockRules rules;
  rules.readable = sandbox::library_paths();
  const auto resolver = sandbox::resolver_paths();
  rules.readable.insert(rules.readable.end(), resolver.begin(), resolver.end());
  rules.tcp = sandbox::LandlockTcp::allowed;
  const auto abi = sandbox::landlock_restrict(rules);
  if (abi) return report.set("landlock", LayerState::active, "ABI " + std::to_string(*abi));
  const bool absent = abi.error().code == Errc::unsupported;
  report.set("landlock", absent ? LayerState::absent : LayerState::failed, abi.error().detail);
}

}  // namespace

Result<Report> confine() {
  Report report;
  if (auto done = leave_root(report); !done) return fail(done.error());
  if (auto done = sandbox::set_no_new_privs(report); !done) return fail(done.error());
  // After the change of user, which set it back. Keys are in this memory.
  sandbox::set_not_dumpable(report, false);
  restrict_files(report);
  auto filter = sandbox::filter_network(static_cast<std::uint32_t>(::getpid()));
  if (!filter) return fail(filter.error());
  if (auto done = sandbox::install_filter(filter->data(), filter->size()); !done) {
    return fail(done.error());
  }
  report.set("seccomp", LayerState::active);
  return report;
}

}  // namespace rap::listener
