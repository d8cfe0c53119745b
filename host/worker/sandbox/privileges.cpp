#include "host/worker/sandbox/privileges.hpp"

#include <linux/capability.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/file.hpp"

namespace rap::sandbox {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

struct Limit {
  __rlimit_resource_t resource;
  rlim_t value;
};

constexpr Limit kLimits[] = {
    // Attachments, streams and what a library opens for itself; a leak ends one session early.
    {RLIMIT_NOFILE, 1024},
    // Sessions of a zygote and the threads of their libraries.
    {RLIMIT_NPROC, 4096},
    // A page of secrets is locked; more is not needed.
    {RLIMIT_MEMLOCK, 1 << 20},
    // A signal queue is not a message queue.
    {RLIMIT_SIGPENDING, 256},
    {RLIMIT_MSGQUEUE, 0},
};
// The streams of an entry, 8,192, may each be a descriptor; as many again for connections.
constexpr rlim_t kNetworkFiles = 16'384;
// A runaway decoder ends itself and not the machine.
constexpr rlim_t kAddressSpace = rlim_t{4} << 30;

bool set_limit(__rlimit_resource_t resource, rlim_t value) {
  rlimit now{};
  if (getrlimit(resource, &now) != 0) return false;
  const rlim_t wanted = std::min(value, now.rlim_max);
  const rlimit limit{wanted, wanted};
  return setrlimit(resource, &limit) == 0;
}

}  // namespace

Status set_no_new_privs(Report& report) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    report.set("no_new_privs", LayerState::failed, errno_text(errno));
    return fail(Errc::unsupported, "no_new_privs: " + errno_text(errno));
  }
  report.set("no_new_privs", LayerState::active);
  return {};
}

void drop_capabilities(Report& report) {
  bool bounded = true;
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) bounded = false;
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (syscall(SYS_capset, &header, none) != 0) {
    report.set("capabilities", LayerState::failed, errno_text(errno));
    return;
  }
  // Without privilege the bounding set cannot be changed, and no_new_privs makes it moot.
  report.set("capabilities", LayerState::active, bounded ? "" : "bounding set left as it was");
}

void set_resource_limits(Report& report, const Options& options) {
  bool all = true;
  for (const Limit& limit : kLimits) {
    const bool files = limit.resource == RLIMIT_NOFILE && options.network == Network::client;
    all = set_limit(limit.resource, files ? kNetworkFiles : limit.value) && all;
  }
  if (!kSanitized) all = set_limit(RLIMIT_AS, kAddressSpace) && all;
  if (!options.debuggable) all = set_limit(RLIMIT_CORE, 0) && all;
  report.set("rlimits", all ? LayerState::active : LayerState::failed,
             kSanitized ? "no address space limit under a sanitizer" : "");
}

void set_not_dumpable(Report& report, bool debuggable) {
  if (debuggable) {
    report.set("dumpable", LayerState::absent, "debug policy");
    return;
  }
  const bool done = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
  report.set("dumpable", done ? LayerState::active : LayerState::failed);
}

void close_other_descriptors(Report& report, std::vector<int> keep) {
  keep.insert(keep.end(), {0, 1, 2});
  std::sort(keep.begin(), keep.end());
  unsigned from = 0;
  bool done = true;
  for (int fd : keep) {
    const auto number = static_cast<unsigned>(fd);
    if (number > from) done = close_range(from, number - 1, 0) == 0 && done;
    from = std::max(from, number + 1);
  }
  done = close_range(from, ~0u, 0) == 0 && done;
  report.set("descriptors", done ? LayerState::active : LayerState::failed,
             done ? "" : errno_text(errno));
}

void clear_environment(Report& report) {
  clearenv();
  report.set("environment", LayerState::active);
}

}  // namespace rap::sandbox
