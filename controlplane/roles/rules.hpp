// What a node may be told to do: rules over values, no I/O.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/result.hpp"

namespace rap::cp {

// [a-z0-9-]{1,40}, not at the ends.
bool is_role_name(std::string_view role);
// Roles of the platform; any other must be declared by a release.
bool is_platform_role(std::string_view role);
// `invalid`, naming those there are, when `role` is neither of the platform nor of `release_roles`.
Status check_role(std::string_view role, const std::vector<std::string>& release_roles);
// What a node must be able to do for a role: "can_run_ssh_worker" for ssh-worker, "can_run_plugins"
// for one that only a release declares. What else such a plugin needs, its manifest says, and the
// node finds out when it loads it.
std::string capability_of_role(std::string_view role);
// "ssh" of "ssh-worker"; nullopt for a role that serves no protocol.
std::optional<std::string> protocol_of_role(std::string_view role);
// Roles that the adapters of a release manifest declare.
std::vector<std::string> manifest_roles(const boost::json::object& manifest);

// What a member of an assignment's policy is, and what it must not be.
struct PolicyFault {
  std::string member;
  std::string detail;
};
// The members are product, version, channel (texts that paths may hold: nodes refuse others) and
// config (an object); null is as good as absent. The first that is none of them, or of another
// shape; a typo that pinned nothing would pass for a pin. The release need not be published yet.
std::optional<PolicyFault> check_policy(const boost::json::object& policy);

struct AssignmentRequest {
  std::string role;
  bool node_in_cluster = false;
  std::string membership_status;           // of the node in the cluster
  std::vector<std::string> capabilities;   // of the node
  std::vector<std::string> release_roles;  // declared by releases in R
  bool organization_given = false;
  bool organization_active = false;
  bool already_assigned = false;
};

// Success, or why not: `invalid` (no such role), `not_found` (node is not in this cluster),
// `conflict` (disabled, revoked, assigned already), `unsupported` (the node lacks the capability),
// `forbidden` (organization).
Status check_assignment(const AssignmentRequest& request);

}  // namespace rap::cp
