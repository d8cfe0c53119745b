// What one node is told: the documents and targets of its D repository, from PostgreSQL.
// docs/contracts/snapshots.md is the format.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/crypto.hpp"
#include "base/id.hpp"
#include "controlplane/clusters/keys.hpp"
#include "controlplane/mesh/views.hpp"
#include "signing/sign/director.hpp"

namespace rap::cp {

struct DirectorContent {
  std::map<std::string, std::string> documents;  // "snap/roles.json" -> text
  std::vector<sign::DirectorTarget> targets;     // the documents and the releases
  Sha256Digest fingerprint{};                    // of everything but when it was made
};

// Needs Scope::platform(). Only what the node's own roles require is in it.
DirectorContent collect_content(Tx& tx, const ClusterId& cluster, const NodeId& node,
                                const ClusterKeyset& keys, MeshViews& mesh, SystemTime now);

}  // namespace rap::cp
