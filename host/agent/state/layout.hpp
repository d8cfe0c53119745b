// Where the agent keeps what. docs/node-agent.md shows the same tree.
#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "base/file.hpp"
#include "base/result.hpp"

namespace rap::agent {

// Survives a reboot.
struct StateLayout {
  std::filesystem::path root;

  std::filesystem::path identity() const { return root / "identity.json"; }
  std::filesystem::path enrollment() const { return root / "enrollment.json"; }
  std::filesystem::path mesh_keys() const { return root / "mesh.json"; }
  std::filesystem::path floor() const { return root / "floor.json"; }
  std::filesystem::path applied() const { return root / "applied.json"; }
  // Peer directories by content; applied.json names the one in force.
  std::filesystem::path directories() const { return root / "directories"; }
  std::filesystem::path lock() const { return root / "lock"; }
  std::filesystem::path store() const { return root / "store"; }
  std::filesystem::path outbox() const { return root / "outbox"; }
  std::filesystem::path node_outbox() const { return outbox() / "node"; }
  // What plugins keep: a directory for each role assignment, in it one for each organization.
  std::filesystem::path workloads() const { return root / "workloads"; }
  std::filesystem::path tuf_release() const { return root / "tuf" / "release"; }
  std::filesystem::path tuf_cluster(const std::string& cluster_id) const {
    return root / "tuf" / "cluster" / cluster_id;
  }
};

// Ends with the boot, or with the last worker.
struct RunLayout {
  std::filesystem::path root;

  std::filesystem::path instances() const { return root / "instances"; }
  std::filesystem::path fence() const { return root / "fence"; }
  std::filesystem::path ops_socket() const { return root / "ops.sock"; }
  std::filesystem::path socket(const std::string& instance) const {
    return root / (instance + ".sock");
  }
  // What a process prints, on its way to the agent's log: a named pipe, and not called a log, since
  // reading it would wait for ever and take lines from the agent.
  std::filesystem::path log_pipe(const std::string& instance) const {
    return root / (instance + ".pipe");
  }
  // Its name in releases up to 0.1.0, whose processes may still be running.
  std::filesystem::path old_log_pipe(const std::string& instance) const {
    return root / (instance + ".log");
  }
};

// The private directory of a workload, made when it is not there; its owner is who the worker is
// outside its sandbox. `organization` may be empty.
Result<Fd> open_workload_directory(const StateLayout& state, const std::string& assignment,
                                   const std::string& organization);
// Removes what workloads of other assignments than these kept.
void remove_other_workload_directories(const StateLayout& state,
                                       const std::set<std::string>& assignments);

// Creates the directories (0700) of both; fails with the system's words.
Status make_directories(const StateLayout& state, const RunLayout& run);

// Removes what a killed agent left half written: files that were to get their name when they are
// whole (write_file_atomic, download_target: ".NAME.XXXXXX"), below both roots but not among what
// workloads keep. Only while the state is locked. Returns how many there were.
int remove_temporary_files(const StateLayout& state, const RunLayout& run);

// Held for the life of a process that changes the state. `conflict` when another holds it.
Result<Fd> lock_state(const StateLayout& state);

}  // namespace rap::agent
