// Where a session goes, and the right to reach it there.
#pragma once

#include <string>

#include <boost/json/fwd.hpp>

#include "controlplane/http/call.hpp"
#include "controlplane/sessions/rules.hpp"
#include "fabric/lease.hpp"

namespace rap::cp {

// Chooses a node for a session to a resource of this protocol; `unavailable` with the reason.
Result<Candidate> choose_node(const Call& call, Tx& tx, const ClusterId& cluster,
                              const OrganizationId& organization, const std::string& protocol);

struct LeaseRequest {
  ClusterId cluster;
  std::string node_id;
  std::string session_id, organization_id, resource_id;
  fabric::LeaseVerb verb = fabric::LeaseVerb::open;
  fabric::LeaseMode mode = fabric::LeaseMode::control;
  Sha256Digest client_certificate{};
};

// {"lease": "...", "node": {"endpoint","spiffe_id","cluster_ca_pem"}} where the node has a
// listener,
// {"mesh": as mesh_access()} where it can be reached over the mesh, or both: 30 seconds, one
// stream. `unavailable` where neither is. Leaves the transaction in the organization's scope when
// there is a mesh.
boost::json::object grant_access(const Call& call, Tx& tx, const LeaseRequest& request);

// From the body: `client_certificate_sha256` in hex or base64url, and `mode`.
Sha256Digest client_certificate_of(const Call& call);
fabric::LeaseMode mode_of(const Call& call);

}  // namespace rap::cp
