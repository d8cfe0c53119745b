// How a host becomes a node.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/net/task.hpp"
#include "host/agent/config/config.hpp"
#include "host/agent/state/identity.hpp"

namespace rap::agent {

struct EnrollOptions {
  std::string server;  // "https://host:port"
  std::filesystem::path token_file;
  std::string node_name;
  enum class Wait { no, yes } wait = Wait::yes;
};

enum class EnrollOutcome { enrolled, already_enrolled, pending };

// Tells people how it goes: one sentence each.
using Progress = std::function<void(const std::string&)>;

// Makes a node of this host, or renews the enrollment of a node whose certificate has ended, with
// the key it has; one that is in force is left alone. A new node makes a key (kept in
// `<state>/enrollment.json`, never sent), asks to join, waits for the owner's decision and stores
// the identity in one rename. May be interrupted and run again anywhere: the same key is the same
// request. Fails with what the control plane said, or why it was not reached; `forbidden` with the
// owner's reason when it was rejected (then the next run begins anew).
net::Task<Result<EnrollOutcome>> enroll(const Config& config, EnrollOptions options,
                                        Progress progress);

// Checks an approval against what we know before it is stored: the certificate is for our key, in
// force at `now`, issued by the cluster CA, and names this node of this cluster. Pure.
Result<Identity> accept_approval(std::string_view answer_json, const PendingEnrollment& pending,
                                 const std::string& pin_text, SystemTime now);

// The same check for a renewed certificate. `expired` speaks of the clock and of what to do.
Status check_node_certificate(const Identity& identity, SystemTime now);

// When the certificate ended, if it has at `now`; then only `enroll` brings the node back.
std::optional<SystemTime> certificate_ended(const Identity& identity, SystemTime now);
// One sentence for a person: since when, and which command to run.
std::string how_to_renew(SystemTime ended, SystemTime now);

}  // namespace rap::agent
