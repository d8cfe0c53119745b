#include "host/agent/state/layout.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/log.hpp"

namespace rap::agent {
namespace {

namespace fs = std::filesystem;

Status make_private(const fs::path& path) {
  std::error_code ec;
  fs::create_directories(path, ec);
  if (!ec) fs::permissions(path, fs::perms::owner_all, ec);
  if (!ec) return {};
  const bool full = ec == std::errc::no_space_on_device;
  return fail(full ? Errc::exhausted : Errc::forbidden, path.string() + ": " + ec.message());
}

}  // namespace

Status make_directories(const StateLayout& state, const RunLayout& run) {
  for (const fs::path& path : {state.root, state.store(), state.outbox(), state.node_outbox(),
                               state.tuf_release(), run.root, run.instances()}) {
    if (Status made = make_private(path); !made) return made;
  }
  return {};
}

Result<Fd> open_workload_directory(const StateLayout& state, const std::string& assignment,
                                   const std::string& organization) {
  constexpr uid_t kNobody = 65534;  // a worker of a privileged agent
  const fs::path parent = state.workloads() / assignment;
  const fs::path path = parent / (organization.empty() ? "platform" : organization);
  for (const fs::path& each : {state.workloads(), parent, path}) {
    if (Status made = make_private(each); !made) return fail(std::move(made.error()));
  }
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd || (::geteuid() == 0 && ::fchown(fd.get(), kNobody, kNobody) != 0)) {
    return fail(Errc::forbidden, path.string() + ": " + errno_text(errno));
  }
  return fd;
}

void remove_other_workload_directories(const StateLayout& state,
                                       const std::set<std::string>& assignments) {
  std::error_code ec;
  std::vector<fs::path> gone;
  for (const auto& entry : fs::directory_iterator(state.workloads(), ec)) {
    if (!assignments.contains(entry.path().filename().string())) gone.push_back(entry.path());
  }
  for (const fs::path& path : gone) {
    fs::remove_all(path, ec);
    log::info("state of a removed role deleted", {{"assignment", path.filename().string()}});
  }
}

int remove_temporary_files(const StateLayout& state, const RunLayout& run) {
  constexpr std::size_t kSuffix = 7;  // ".XXXXXX"
  std::vector<fs::path> found;
  std::error_code ec;
  for (const fs::path& root : {state.root, run.root}) {
    for (fs::recursive_directory_iterator it(root, ec), end; !ec && it != end; it.increment(ec)) {
      const fs::path& path = it->path();
      if (path == state.workloads()) {
        it.disable_recursion_pending();
        continue;
      }
      const std::string name = path.filename().string();
      const bool temporary =
          name.size() > kSuffix + 1 && name.front() == '.' && name[name.size() - kSuffix] == '.';
      std::error_code unknown;
      if (temporary && fs::is_regular_file(it->symlink_status(unknown))) found.push_back(path);
    }
  }
  int removed = 0;
  for (const fs::path& path : found) removed += fs::remove(path, ec);
  return removed;
}

Result<Fd> lock_state(const StateLayout& state) {
  Fd fd(::open(state.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return fail(Errc::forbidden, state.lock().string() + ": " + errno_text(errno));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(Errc::conflict,
                "another rap-node-agent uses " + state.root.string() + "; stop it first");
  }
  return fd;
}

}  // namespace rap::agent
