// Certificates of nodes in PostgreSQL.
#pragma once

#include "base/id.hpp"
#include "controlplane/http/call.hpp"
#include "controlplane/pki/authority.hpp"

namespace rap::cp {

// Issues a certificate over the key of `csr_pem` and makes it the node's active one; the one before
// stays good for ten minutes. Audited as the actor's doing.
struct Issue {
  ClusterId cluster;
  NodeId node;
  std::string csr_pem;
  bool rotation = false;
};
IssuedCertificate issue_node_certificate(const Services& services, Tx& tx, const Issue& issue,
                                         SystemTime now);

// The node of the certificate that the connection presented; refuses with 401 (unknown, expired,
// replaced) or 403 (revoked).
void authenticate_node(Call& call, Tx& tx, const net::CertificateFacts* certificate);

}  // namespace rap::cp
