// The process that loads one verified plugin and forks a process per session, or becomes the
// workload itself where the adapter has no sessions.
//
// It has one thread, holds no secret and no session data, and is pid 1 of its pid namespace: when
// it ends, its sessions end. So it does little, and runs code of the plugin only while loading.
#pragma once

#include <optional>
#include <string>

#include "host/worker/sandbox.hpp"
#include "host/worker/session_worker.hpp"

namespace rap::worker {

struct ZygoteStart {
  std::string instance;  // for the log
  Fd listening;
  Fd plugin;  // sealed memfd
  sandbox::Entered sandbox;
};

struct ZygoteEnd {
  int exit_code = 0;
  // Set in a forked child, and in the process itself when a plugin that is not fork-safe makes it
  // the session worker: go on with run_session().
  std::optional<SessionStart> session;
};

ZygoteEnd run_zygote(ZygoteStart start);

}  // namespace rap::worker
