// What the parts of a running agent share. One thread uses it, the pool's work does not.
#pragma once

#include <cstdint>
#include <string>

#include "base/net/blocking_pool.hpp"
#include "base/net/task.hpp"
#include "base/net/task_group.hpp"
#include "host/agent/config/config.hpp"
#include "host/agent/state/instance_record.hpp"
#include "host/agent/state/layout.hpp"

namespace rap::agent {

// Since the agent started; `metrics` of the ops socket shows them as rap_agent_<name>_total.
struct Counters {
  std::uint64_t heartbeats = 0, heartbeats_failed = 0;
  std::uint64_t syncs = 0, syncs_failed = 0, release_syncs_failed = 0;
  std::uint64_t certificates_renewed = 0;
  std::uint64_t artifacts_refused = 0;
  std::uint64_t process_starts = 0, process_ends = 0, processes_adopted = 0, processes_lost = 0;
  std::uint64_t sessions_opened = 0, attachments = 0, streams_refused = 0;
  std::uint64_t dials = 0, dials_refused = 0;
  std::uint64_t secrets_resolved = 0, secrets_refused = 0;
  std::uint64_t mesh_reports = 0, mesh_reports_failed = 0;
  std::uint64_t requests_refused = 0;  // more than one process may have waiting
  std::uint64_t events_unfounded = 0;  // of people who are not there
  std::uint64_t events_kept = 0, events_sent = 0;
  std::uint64_t log_lines = 0, log_lines_dropped = 0;
};

struct Context {
  net::asio::any_io_executor executor;
  net::BlockingPool& pool;
  const Config& config;
  StateLayout state;
  RunLayout run;
  InstanceRecords records;
  std::int64_t fence = 0;  // this agent's number; higher than every earlier one's
  std::string boot_id;
  net::TaskGroup& tasks;  // everything that runs in the background
  Counters counters;
};

}  // namespace rap::agent
