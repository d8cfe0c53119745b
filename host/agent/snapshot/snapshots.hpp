// The three scoped snapshots a node gets from D (docs/contracts/snapshots.md). Parsers are strict
// about what they use and ignore members they do not know: a newer control plane may add some.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "contracts/snapshot_limits.hpp"

namespace rap::agent {

enum class NodeStatus { active, disabled, revoked };

struct Membership {
  std::string cluster_id;
  std::string node_id;
  std::string node_name;
  NodeStatus status = NodeStatus::active;
  std::int64_t authority_term = 0;
  std::string cluster_ca_pem;
  std::int64_t issued_at_unix_s = 0;
};

struct RoleAssignment {
  std::string assignment_id;
  std::string role;
  std::string organization_id;  // empty: the platform's
  std::string product;          // empty: no release is assigned
  std::string version;
  std::string config_json;  // an object, serialized
  std::string reason = {};  // why no release is assigned, when the control plane says so

  bool operator==(const RoleAssignment&) const = default;
};

struct LeaseKey {
  std::string kid;
  std::string public_hex;  // 64 characters

  bool operator==(const LeaseKey&) const = default;
};

struct Resource {
  std::string resource_id;
  std::string organization_id;
  std::string name;
  std::string protocol;
  std::string role;
  std::string host;
  std::uint16_t port = 0;
  std::string secret_ref;    // empty: none
  std::string options_json;  // an object, serialized
};

struct Access {
  std::vector<LeaseKey> lease_keys;
  std::map<std::string, Resource> resources;  // by id
  // Resources that were left out because they are not as they have to be: how many, and what is
  // wrong with the first. One organization's mistake must not take the node from the others.
  std::size_t left_out = 0;
  std::string left_out_why;
};

// Limits: contracts/snapshot_limits.hpp; a larger document is a mistake or an attack.
// Each fails with `malformed`, `invalid` or `too_large`, naming the member.
Result<Membership> parse_membership(std::string_view text);
Result<std::vector<RoleAssignment>> parse_roles(std::string_view text);
Result<Access> parse_access(std::string_view text);
// Is snap/mesh.json a document for this node? `forbidden` when it is another's. What it says of
// others the mesh judges.
Status check_peer_directory(std::string_view text, std::string_view cluster_id,
                            std::string_view node_id);

}  // namespace rap::agent
