// Brings what the control plane and Version Storage say to this node: verified, in agreement, and
// complete, or not at all.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/net/x509.hpp"
#include "host/agent/control/control_client.hpp"
#include "host/agent/snapshot/applied.hpp"
#include "host/agent/state/layout.hpp"
#include "host/agent/state/store.hpp"

namespace rap::agent {

struct SyncInput {
  StateLayout state;
  std::filesystem::path release_root;  // root.json of R, from the installed package
  ServerAddress server;
  net::TlsIdentity identity;
  std::string cluster_id;
  std::string node_id;
  std::string director_root;  // version 1 of D's root, from the approval
  AppliedPtr previous;        // may be null
  // `director_only` skips R when nothing new is assigned: for a session whose resource is unknown.
  enum class Scope { everything, director_only } scope = Scope::everything;
};

struct SyncOutput {
  AppliedPtr applied;
  // Why R had no fresh word, or empty. Not fatal: releases that were trusted before stay in force.
  std::string release_trouble;
  Errc release_trouble_code = Errc::unavailable;  // of release_trouble
};

// Blocks for as long as downloads take; run it on the pool, one at a time. Steps: when D has no
// trusted root yet, refresh R and take the one that R's `trust` role vouches for; refresh D, check
// scope and authority term of every snapshot, refresh R, apply the rule of two signatures to every
// assigned release, download missing artifacts, raise the floor, write applied.json. A release that
// cannot be used is an error inside `applied->releases`; the rest goes on. Fails, with everything
// as it was, when nobody vouched for D (`bad_signature` names the cluster, the count and what the
// owner has to do; the next call looks again), D cannot be had or is not for this node, or the disk
// is full.
Result<SyncOutput> sync_snapshots(const SyncInput& input);

}  // namespace rap::agent
