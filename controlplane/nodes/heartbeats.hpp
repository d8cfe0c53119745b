// Heartbeats on their way into PostgreSQL: the last one of each node, many nodes at a time.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/net/event.hpp"
#include "base/net/task.hpp"
#include "controlplane/db/database.hpp"
#include "controlplane/enrollment/capabilities.hpp"

namespace rap::cp {

struct WorkloadReport {
  std::string assignment_id, role, state, detail, version;
  std::optional<std::int64_t> pid;
};

struct SessionReport {
  std::string session_id, state, detail;
  std::optional<std::string> controller;
  std::int64_t viewers = 0;
};

struct Heartbeat {
  std::string node_id, cluster_id;
  std::string boot_id, agent_version, mesh_endpoint;
  SystemTime sent_at{}, received_at{};
  std::int64_t director_version = 0;
  std::string payload;  // JSON of what has no column
  std::vector<WorkloadReport> workloads;
  std::vector<SessionReport> sessions;
  std::vector<Capability> capabilities;
};

// Writes one batch; at most one heartbeat per node. One that is older than what another server has
// written already goes into the log and changes nothing else. Exposed for the benchmark.
void store_heartbeats(Tx& tx, const std::vector<Heartbeat>& batch);

// On one executor. A crash loses at most the last tenth of a second of telemetry, which the next
// heartbeat repeats.
class HeartbeatBatcher {
 public:
  HeartbeatBatcher(net::asio::any_io_executor executor, Database& database);

  void add(Heartbeat heartbeat);
  // Writes what came, every 75 ms or as soon as there are 250; until stop().
  net::Task<void> run();
  void stop();

  struct Stats {
    std::uint64_t received = 0, written = 0, batches = 0, failed_batches = 0;
    // A node that came back to an earlier boot: two machines use one identity.
    std::uint64_t identity_conflicts = 0;
  };
  Stats stats() const { return stats_; }

 private:
  net::Task<void> flush();
  net::Task<void> store_in_halves(std::vector<Heartbeat> batch);
  void note_boot(const Heartbeat& heartbeat);

  Database& database_;
  net::Event due_;
  bool stopping_ = false;
  std::map<std::string, Heartbeat> waiting_;  // by node, sorted: writers lock in order
  struct Boots {
    std::string current, before;
  };
  std::map<std::string, Boots> boots_;  // by node
  Stats stats_;
};

}  // namespace rap::cp
