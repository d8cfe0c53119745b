// What this node currently goes by: one consistent set of verified snapshots and releases.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "host/agent/snapshot/consensus.hpp"
#include "host/agent/snapshot/snapshots.hpp"
#include "host/agent/state/layout.hpp"
#include "host/loader/plugin_manifest.hpp"

namespace rap::agent {

// A release that R and D agree on, with the artifact for this machine.
struct Release {
  std::string manifest_text;  // as signed
  loader::PluginManifest manifest;
  std::string artifact_sha256;  // hex
  std::uint64_t artifact_length = 0;
};

// Why an assigned release cannot run, or the release.
using ReleaseResult = Result<Release>;
using ReleaseKey = std::pair<std::string, std::string>;  // product, version

// Owners: each set that it is in force in, and workers that it is sent to.
using DocumentPtr = std::shared_ptr<const std::string>;

// Immutable once shared.
struct Applied {
  Membership membership;
  std::vector<RoleAssignment> roles;
  Access access;
  std::map<ReleaseKey, ReleaseResult> releases;
  // By assignment: the version that serves instead of the assigned one, which was refused. It was
  // in force before, R and D still list it, and `releases` has it.
  std::map<std::string, std::string> instead;
  std::int64_t director_version = 0;
  SystemTime director_expires{};  // after it the set is stale: kept, but nothing new is trusted
  SystemTime release_expires{};

  // The texts the above was read from, kept for write_applied().
  std::string membership_text;
  std::string roles_text;
  std::string access_text;

  // The peer directory (docs/contracts/mesh-directory.md), for the mesh, which judges it; null: the
  // control plane has none for this node. In a file of its own: it is up to 16 MiB, and changes
  // with every node of the cluster.
  DocumentPtr directory;
  std::string directory_sha256;  // hex; empty: none
};
// The version that serves `role`: the assigned one, or the one instead of it.
const std::string& version_in_force(const Applied& applied, const RoleAssignment& role);

using AppliedPtr = std::shared_ptr<const Applied>;  // owners: the keeper and who reads it just now

// `<state>/applied.json`: written in one rename after a set was verified and is complete, read at a
// start without control plane. Scope and authority term are checked again on reading. The directory
// is written before it and read after it; one that is gone or damaged is none, and logged.
Status write_applied(const StateLayout& state, const Applied& applied);
Result<Applied> read_applied(const StateLayout& state, const NodeScope& scope);
// Without the directory, but its hash.
Result<Applied> parse_applied(std::string_view text, const NodeScope& scope);
std::string serialize(const Applied& applied);

// Reads a signed manifest and picks the artifact; fails when manifest and `listed` (what R and D
// agreed on) say different things, or there is no variant for this machine.
ReleaseResult release_from_manifest(std::string manifest_text, const ListedTarget& listed);

}  // namespace rap::agent
