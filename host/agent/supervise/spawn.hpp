// Starts a supervised process: its own session, exactly the descriptors it is meant to have, no
// environment to speak of, and no signal when the agent dies.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/file.hpp"
#include "base/result.hpp"

namespace rap::agent {

struct SpawnRequest {
  std::filesystem::path program;
  std::vector<std::string> arguments;  // without the program's name
  // Number in the child -> ours. 0 is /dev/null, 1 and 2 become `log`.
  std::vector<std::pair<int, int>> descriptors;
  int log = -1;
};

struct Spawned {
  int pid = 0;
  Fd pidfd;
};

// Returns after exec succeeded. `not_found` or `forbidden` when the program cannot be executed,
// `exhausted` without processes or memory.
Result<Spawned> spawn(const SpawnRequest& request);

// pidfd_open(2); `not_found` when there is no such process.
Result<Fd> open_pidfd(int pid);
// The pid of a pidfd as this process sees it, 0 when it is gone.
int pid_of(int pidfd);
// False when it was gone already.
bool send_signal(int pidfd, int signal);

struct ExitInfo {
  int code = -1;   // -1: not known, or ended by a signal
  int signal = 0;  // 0: none, or not known
  bool known() const { return code >= 0 || signal != 0; }
  std::string text() const;
};
// What a person is told when `who`, a worker, ended unasked.
std::string worker_end_text(std::string_view who, const ExitInfo& how);
// How our own child ended; unknown for a process that is not our child.
ExitInfo reap(int pidfd);

}  // namespace rap::agent
