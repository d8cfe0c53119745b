// What the agent says about a workload: honest, with the reason.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/file.hpp"
#include "base/result.hpp"
#include "host/ipc/message.hpp"

namespace rap::agent {

enum class WorkloadState {
  starting,
  running,
  degraded,  // not what was asked for, without being broken: no release, not ready yet
  failed,    // given up until something changes
  stopped,
};

inline std::string_view name(WorkloadState state) {
  constexpr std::string_view kNames[] = {"starting", "running", "degraded", "failed", "stopped"};
  return kNames[static_cast<std::size_t>(state)];
}

// A stream of a person that the mesh brought to this node: its session lease was verified, inside
// its encryption.
struct MeshStream {
  ipc::JsonPtr claims;
  std::string from;  // the person's address; empty when it is not known
  Fd stream;
  std::function<void(const Status&)> answer;  // call it once
};

struct WorkloadReport {
  std::string assignment_id;
  std::string role;
  std::string organization;  // empty: the platform's
  WorkloadState state = WorkloadState::starting;
  std::string detail;
  std::string version;
  int pid = 0;
};

}  // namespace rap::agent
