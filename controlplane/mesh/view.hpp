// The whole mesh of one cluster as the control plane knows it: what directories are cut from.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/crypto.hpp"
#include "base/id.hpp"
#include "controlplane/db/sql.hpp"
#include "fabric/routing/directory_doc.hpp"

namespace rap::cp {

// Circles on which every node has a place by chance; neighbours on one know each other.
inline constexpr std::size_t kMeshCircles = 4;

// A service of a node: whose, and by which name.
struct MeshService {
  std::string id;
  std::string organization;
};

struct MeshNode {
  routing::NodeEntry entry;  // with everything; what a directory shows of it, the scope decides
  std::vector<MeshService> services;
  // Of the record with what only those need who choose paths (load, attachments), and without.
  Sha256Digest full_hash{};
  Sha256Digest plain_hash{};
  std::uint64_t chance = 0;                          // of the id
  std::array<std::uint64_t, kMeshCircles> places{};  // on the circles

  bool carries() const;  // a relay or an entry
  bool is(routing::Role role) const { return (entry.roles & routing::mask(role)) != 0; }
  bool serves(const std::string& organization) const;
};

struct MeshView {
  std::string cluster_id;
  routing::AuthorityState authority{};
  std::int64_t authority_term = 0;
  std::vector<MeshNode> nodes;  // by id
  std::vector<routing::GroupEntry> pools;
  routing::Policy policy;  // with the rules of organizations
  // Of the policy, pools and authority; of the rules of organizations, each and all.
  Sha256Digest rest_hash{}, rules_hash{};
  std::vector<Sha256Digest> rule_hashes;
  // Circles: nodes in the order of their places, those of an organization apart from the others'.
  std::array<std::vector<std::uint32_t>, kMeshCircles> circles;
  std::vector<std::uint32_t> carriers;  // relays and entries

  // nullptr: it has no place in the mesh.
  const MeshNode* find(const std::string& node_id) const;
};

// From PostgreSQL; needs Scope::platform(). Who is not active in the cluster, is quarantined, or
// has no mesh certificate in force is not in it.
MeshView load_mesh(Tx& tx, const ClusterId& cluster, SystemTime now);

// Fills hashes, circles and carriers; `nodes` are in the order of ids. Pure.
void finish_view(MeshView& view);

// What the assignments of a node make of it in the mesh. Pure.
struct MeshAssignment {
  std::string role;
  std::string organization;  // empty: for everybody
};
struct MeshPlace {
  routing::RoleMask roles = 0;
  std::string owner;                               // of a node that works for one organization only
  std::optional<std::vector<std::string>> serves;  // nullopt: anybody
};
// A relay or entry that is assigned for fewer organizations than the node serves otherwise is none:
// its record could not say so, and it would carry what it must not.
MeshPlace place_of(const std::vector<MeshAssignment>& assignments);

}  // namespace rap::cp
