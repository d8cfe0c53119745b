#include "host/agent/state/layout.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

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
