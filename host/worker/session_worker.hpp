// The process of one session: plugin host, hub, and the agent's socket.
#pragma once

#include <string>

#include "base/file.hpp"
#include "host/worker/sandbox.hpp"
#include "rap/plugin.h"

namespace rap::worker {

// What a session process gets from the process it was forked from (or became).
struct SessionStart {
  std::string session_id;
  Fd listening;  // the session's socket
  const rap_plugin* plugin = nullptr;
  std::string adapter_id;
  std::vector<std::string> grants;
  std::string config;
  std::string config_schema;
  std::string organization;
  sandbox::Report report;
  unsigned agent_uid = 0;
};

// Exit codes, told to the agent in the zygote's `exited` event.
inline constexpr int kExitClosed = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitSandbox = 71;  // stage two could not be applied

// Serves the session until it has ended; returns the exit code. The process has applied stage two.
int run_session(SessionStart start);

}  // namespace rap::worker
