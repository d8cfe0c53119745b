// What the agent notes about a process before it starts it, so that the next agent finds it again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "host/agent/state/attached_person.hpp"

namespace rap::agent {

enum class InstanceKind { zygote, session, listener };
std::string_view name(InstanceKind kind);

// Adapters that a workload has beside `adapter`, each with a hash of the configuration that it was
// added with. One that is being added is here already.
using JoinedRecords = std::map<std::string, std::string>;

// `<run>/instances/<name>.json`, mode 0600. Written with pid 0 before the start and again with the
// pid: a crash in between leaves a record whose socket tells whether anybody is there.
struct InstanceRecord {
  std::string name;  // also the socket's: "z-1f2e3d4c", "s-01k...", "listener"
  InstanceKind kind = InstanceKind::zygote;
  int pid = 0;
  std::uint64_t start_time = 0;  // clock ticks after boot; tells a reused pid from the process
  std::string nonce;             // hex, 32 characters; proves the agent to the process
  std::string boot_id;
  std::string digest;        // of the plugin, hex
  std::string organization;  // empty: the platform's
  std::string session;       // sessions only
  std::string resource;      // sessions only
  std::string zygote;        // sessions only: name of the instance it was forked from
  std::string product;       // zygotes and sessions
  std::string version;
  std::string adapter;
  std::string assignment;          // workloads only: the role assignment it runs for
  std::int64_t opened_unix_s = 0;  // sessions only
  AttachedPeople people;           // sessions only
  JoinedRecords joined;            // workloads only

  bool operator==(const InstanceRecord&) const = default;
};

Result<InstanceRecord> parse_instance_record(std::string_view text);
std::string serialize(const InstanceRecord& record);

// A directory of records.
class InstanceRecords {
 public:
  explicit InstanceRecords(std::filesystem::path directory) : directory_(std::move(directory)) {}

  Status write(const InstanceRecord& record) const;
  void remove(const std::string& name) const;
  // Every readable record; damaged files are moved aside (".damaged") and named in `damaged`.
  std::vector<InstanceRecord> read_all(std::vector<std::string>& damaged) const;

 private:
  std::filesystem::path directory_;
};

// Is this very process still running? Compares boot and start time, not only the pid.
bool is_running(const InstanceRecord& record, const std::string& boot_id);

// `<run>/fence`: a number that grows with every agent start, so that a late old agent is refused.
// The new number is durable when it returns.
Result<std::int64_t> next_fence(const std::filesystem::path& path);

}  // namespace rap::agent
