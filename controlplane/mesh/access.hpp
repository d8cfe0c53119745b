// The right of a person to reach a session through the mesh: entries, the service's name, leases.
// Nothing in it says which node it is or which way streams take.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

#include "controlplane/http/call.hpp"
#include "controlplane/sessions/placement.hpp"

namespace rap::cp {

// Entries that a client is told: it tries them in this order.
inline constexpr std::size_t kEntriesTold = 8;

// {"entries","service","carry","carry_expires_at","lease","cluster_ca_pem"} for a session on a
// node, or nullopt while the cluster has no entry that answers, the node no certificate for the
// organization's service, or its mesh process does not report. `claims` are those of the session
// lease for the single hop; the lease here is the same for the service. Leaves the transaction in
// the organization's scope.
std::optional<boost::json::object> mesh_access(const Call& call, Tx& tx,
                                               const LeaseRequest& request,
                                               fabric::LeaseClaims claims);

}  // namespace rap::cp
