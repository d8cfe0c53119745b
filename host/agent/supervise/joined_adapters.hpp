// Roles that are filled beside the one that a workload's process was started for: an adapter of the
// same library for each, added and taken away while the process runs. Which step is next; the
// steps themselves are the zygote's. Pure: time and randomness come from the caller.
//
//   absent ──add──► running ──remove──► leaving ──ended──► absent
//      └── refused: again later, or never with this configuration
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "host/agent/state/instance_record.hpp"
#include "host/agent/supervise/restart_policy.hpp"
#include "host/agent/supervise/workload_state.hpp"
#include "host/loader/plugin_facts.hpp"

namespace rap::agent {

struct JoinedRole {
  std::string role, assignment_id;
  loader::AdapterFacts adapter;
  std::string config_json = "{}";
};

class JoinedAdapters {
 public:
  using Time = RestartPolicy::Time;
  explicit JoinedAdapters(RestartLimits limits) : limits_(limits) {}

  // What there should be; of each adapter the first counts. One that was refused, or given up, and
  // is the same as before stays so until retry().
  void want(const std::vector<JoinedRole>& roles);
  void retry();

  // What a process has: adapters by id, true while it drains; and what was noted about them when
  // they were added. Their health is to be told anew.
  void found(const std::map<std::string, bool>& there, const JoinedRecords& noted);
  // The process ended: all of them with it.
  void gone();

  struct Step {
    enum class Kind { add, remove, remove_now } kind = Kind::add;
    std::string adapter;
    JoinedRole role;  // to add
  };
  std::optional<Step> next(Time now) const;
  // When next() may say something else by itself; nothing: not before something else happens.
  std::optional<Time> next_at() const;

  void added(const JoinedRole& role, Time now);
  // With `invalid` it is not tried again with this configuration.
  void refused(const std::string& adapter, const Error& why, Time now, std::uint64_t random);
  void leaving(const std::string& adapter);
  void ended(const std::string& adapter, Time now, std::uint64_t random);
  // As its adapter says: "ok", "degraded" or "failed", which makes it leave and come again.
  void health(const std::string& adapter, const std::string& level, std::string note);

  // For the next agent: what was added with which configuration, and what is being added.
  JoinedRecords records() const;

  using State = std::pair<WorkloadState, std::string>;
  // Of those that are wanted, while the process runs.
  std::map<std::string, State> states() const;

 private:
  enum class At { absent, running, leaving };
  struct Entry {
    explicit Entry(RestartLimits limits) : policy(limits) {}
    std::optional<JoinedRole> wanted;
    At at = At::absent;
    std::string has;      // hash of the configuration that it runs with
    bool never = false;   // as it is wanted now
    bool failed = false;  // it says that it cannot go on
    std::string level = "ok", note;
    std::string trouble;  // why it is not there
    Time not_before{};
    RestartPolicy policy;
  };
  Entry& entry(const std::string& adapter);
  Entry* find(const std::string& adapter);
  void forget_absent();
  void wait(Entry& entry, std::string why, Time now, std::uint64_t random);

  RestartLimits limits_;
  std::map<std::string, Entry> entries_;
};

// Of a configuration, as records keep it.
std::string configuration_hash(const std::string& config_json);

}  // namespace rap::agent
