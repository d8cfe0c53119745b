#include "host/worker/sandbox.hpp"

#include <fcntl.h>
#include <grp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "host/worker/sandbox/anchor.hpp"
#include "host/worker/sandbox/landlock.hpp"
#include "host/worker/sandbox/privileges.hpp"
#include "host/worker/sandbox/root_fs.hpp"
#include "host/worker/sandbox/seccomp.hpp"

namespace rap::sandbox {
namespace {

// Best first; each is tried when the one before it is refused.
std::vector<Plan> plans() {
  std::vector<Plan> out = {{.user = true, .root = true, .empty = true}};
  if (geteuid() == 0) out.push_back({.user = false, .root = true, .empty = true});
  out.push_back({.user = true, .root = false, .empty = true});
  if (geteuid() == 0) out.push_back({.user = false, .root = false, .empty = true});
  out.push_back({});
  return out;
}

void report_network(Report& report, bool narrow) {
  report.set("network", narrow ? LayerState::active : LayerState::absent,
             narrow ? "the host's: TCP and UDP go out, no bind or listen"
                    : "the host's: not narrowed before stage two");
}

void report_plan(Report& report, const Plan& plan, const std::string& why) {
  const auto line = [&](const char* layer, bool active) {
    report.set(layer, active ? LayerState::active : LayerState::absent, active ? "" : why);
  };
  line("userns", plan.user);
  line("mountns", plan.root);
  line("pidns", plan.root);
  if (plan.host_network) {
    report_network(report, false);
  } else {
    line("netns", plan.empty);
  }
  line("ipcns", plan.empty);
  line("utsns", plan.empty);
}

// Without a user namespace of our own only root can become somebody else.
void become_nobody() {
  (void)!setgroups(0, nullptr);
  (void)!setresgid(kNobody, kNobody, kNobody);
  (void)!setresuid(kNobody, kNobody, kNobody);
}

Result<Entered> set_up_inner(Gate gate, const Plan& plan, const std::string& why,
                             const Options& options, uid_t starter) {
  const bool privileged = geteuid() == 0 || plan.user;
  Fd state;
  if (plan.root && options.state_directory >= 0) {
    auto tree = detach_working_directory();
    if (!tree) gate.failed(tree.error().detail);
    state = *std::move(tree);
  }
  if (!plan.root) (void)!chdir("/");
  // In a user namespace first, because only a mapped user may create files in its mounts; the
  // capabilities stay. Outside afterwards, because there they go.
  if (plan.user) become_nobody();
  if (plan.root) {
    if (auto root = build_root(state, options.network); !root) gate.failed(root.error().detail);
  }
  if (plan.empty) (void)!sethostname("worker", 6);
  if (!plan.user && privileged) become_nobody();

  Entered entered;
  if (state) {
    // Opened anew: the descriptor of the tree would keep open what is attached now.
    entered.state_directory.reset(open(kStatePath, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    state.reset();
  }
  entered.network = options.network;
  entered.starter_uid = plan.user ? kNobody : starter;
  Report& report = entered.report;
  report_plan(report, plan, why);
  drop_capabilities(report);
  auto no_new_privs = set_no_new_privs(report);
  std::vector<int> keep = options.keep_fds;
  keep.push_back(gate.fd());
  if (entered.state_directory) keep.push_back(entered.state_directory.get());
  close_other_descriptors(report, keep);
  clear_environment(report);
  set_resource_limits(report, options);
  gate.ready();
  // After gate.ready(): changing the user has made us undumpable already, a debug policy undoes it.
  set_not_dumpable(report, options.debuggable);
  if (!no_new_privs) return fail(no_new_privs.error());
  return entered;
}

}  // namespace

std::string_view name(LayerState state) {
  switch (state) {
    case LayerState::active:
      return "active";
    case LayerState::absent:
      return "absent";
    case LayerState::failed:
      break;
  }
  return "failed";
}

void Report::set(std::string_view layer, LayerState state, std::string detail) {
  auto at = std::find_if(layers_.begin(), layers_.end(),
                         [layer](const Layer& known) { return known.name == layer; });
  if (at == layers_.end()) at = layers_.insert(layers_.end(), Layer{std::string(layer), {}, {}});
  at->state = state;
  at->detail = std::move(detail);
}

LayerState Report::state(std::string_view layer) const {
  for (const Layer& known : layers_) {
    if (known.name == layer) return known.state;
  }
  return LayerState::absent;
}

Result<Entered> enter(const Options& options) {
  const uid_t starter = getuid();
  // The working directory follows into the new mount namespace, which a descriptor would not.
  if (options.state_directory >= 0) {
    if (fchdir(options.state_directory) != 0) {
      return fail(Errc::invalid, "state directory: " + errno_text(errno));
    }
    close(options.state_directory);
  }
  std::string why;
  for (Plan plan : plans()) {
    plan.host_network = options.network == Network::client;
    auto gate = start_inner(plan);
    if (gate) return set_up_inner(*std::move(gate), plan, why, options, starter);
    if (why.empty()) why = gate.error().detail;
  }
  return fail(Errc::unsupported, "no process could be started: " + why);
}

namespace {

LandlockRules rules_for(const Kept& kept) {
  LandlockRules rules;
  rules.writable_directory = kept.state_directory;
  if (kept.network == Network::client) {
    rules.readable = resolver_paths();
    rules.tcp = LandlockTcp::connect;
  }
  return rules;
}

}  // namespace

Status stage_one(Report& report, const Kept& kept) {
  LandlockRules rules = rules_for(kept);
  const auto libraries = library_paths();
  rules.readable.insert(rules.readable.end(), libraries.begin(), libraries.end());
  auto abi = landlock_restrict(rules);
  if (abi) {
    report.set("landlock", LayerState::active, "ABI " + std::to_string(*abi));
  } else {
    report.set("landlock",
               abi.error().code == Errc::unsupported ? LayerState::absent : LayerState::failed,
               abi.error().detail);
  }
  auto filter = filter_one(kept.network);
  if (!filter) return fail(filter.error());
  auto installed = install_filter(filter->data(), filter->size());
  report.set("seccomp", installed ? LayerState::active : LayerState::failed,
             installed ? "stage one" : installed.error().detail);
  return installed;
}

Result<StageTwo> StageTwo::prepare(const Kept& kept) {
  auto filter = filter_two(kept.network);
  if (!filter) return fail(filter.error());
  StageTwo out;
  out.kept_ = kept;
  static_assert(sizeof(Instruction) == sizeof(sock_filter));
  out.filter_.resize(filter->size());
  std::memcpy(static_cast<void*>(out.filter_.data()), filter->data(),
              filter->size() * sizeof(sock_filter));
  return out;
}

Status StageTwo::apply(Report& report) const {
  if (report.state("landlock") == LayerState::active) {
    auto abi = landlock_restrict(rules_for(kept_));
    if (!abi) report.set("landlock", LayerState::failed, "stage two: " + abi.error().detail);
  }
  sock_filter filter[4096];
  if (filter_.size() > std::size(filter)) return fail(Errc::internal, "filter too long");
  for (std::size_t i = 0; i < filter_.size(); ++i) {
    const Instruction& in = filter_[i];
    const bool own_pid = BPF_CLASS(in.code) == BPF_JMP && in.k == kPidPlaceholder;
    filter[i] = {in.code, in.jt, in.jf, own_pid ? static_cast<std::uint32_t>(getpid()) : in.k};
  }
  auto installed = install_filter(filter, filter_.size());
  report.set("seccomp", installed ? LayerState::active : LayerState::failed,
             installed ? "stage two" : installed.error().detail);
  if (installed && kept_.network == Network::client) report_network(report, true);
  return installed;
}

}  // namespace rap::sandbox
