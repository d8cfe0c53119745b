#include "controlplane/enrollment/identities.hpp"

#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/clusters/keys.hpp"
#include "controlplane/http/services.hpp"

namespace rap::cp {
namespace {

// Long enough for requests that are under way with the certificate before.
constexpr std::chrono::minutes kSupersededGrace{10};

constexpr const char* kSupersede = R"sql(
  update node_identities set identity_status = 'superseded', rotated_at = $3
  where cluster_id = $1 and node_id = $2 and identity_status = 'active'
)sql";
constexpr const char* kInsert = R"sql(
  insert into node_identities
    (certificate_sha256, cluster_id, node_id, public_key, fingerprint, certificate_serial,
     certificate_not_before, certificate_not_after, certificate_pem, identity_status, issued_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'active', $10)
)sql";
constexpr const char* kFind = R"sql(
  select i.cluster_id, i.node_id, i.identity_status, i.rotated_at, i.certificate_not_after, n.name,
         m.membership_status, m.status_reason, a.term, a.state
  from node_identities i
  join nodes n on n.id = i.node_id
  join cluster_memberships m on m.cluster_id = i.cluster_id and m.node_id = i.node_id
  cross join authority a
  where i.certificate_sha256 = $1
)sql";

}  // namespace

IssuedCertificate issue_node_certificate(const Services& services, Tx& tx, const Issue& issue,
                                         SystemTime now) {
  const CertificateRequest request = require(inspect_csr(issue.csr_pem));
  const auto keys = services.cluster_keys.get(tx, issue.cluster);
  NodeCaller node;
  node.cluster = issue.cluster;
  node.id = issue.node;
  IssuedCertificate issued = keys->ca.issue_node(issue.csr_pem, node.spiffe(), now);
  tx.query(kSupersede, {issue.cluster, issue.node, now});
  tx.query(kInsert, {ByteView(issued.facts.sha256), issue.cluster, issue.node, request.public_key,
                     ByteView(request.fingerprint), issued.facts.serial_hex,
                     issued.facts.not_before, issued.facts.not_after, issued.pem, now});
  boost::json::object detail;
  detail["serial"] = issued.facts.serial_hex;
  detail["fingerprint"] = to_hex(request.fingerprint);
  detail["not_after"] = to_rfc3339(issued.facts.not_after);
  audit(tx, Actor::system(), issue.cluster.str(),
        {issue.rotation ? "node.certificate_rotated" : "node.certificate_issued", issue.node.str()},
        detail, now);
  return issued;
}

void authenticate_node(Call& call, Tx& tx, const net::CertificateFacts* certificate) {
  if (certificate == nullptr) {
    throw Problem(401, "unauthorized", "this is for nodes: present the node certificate");
  }
  const Rows rows = tx.query(kFind, {ByteView(certificate->sha256)});
  if (rows.empty()) {
    throw Problem(401, "unauthorized", "this certificate is not one of an enrolled node");
  }
  const Row& row = rows[0];
  if (row.text("identity_status") == "revoked" || row.text("membership_status") == "revoked") {
    throw Problem(403, "forbidden",
                  "this node was revoked: " + row.text_or_none("status_reason").value_or(""));
  }
  if (row.time("certificate_not_after") <= call.now) {
    throw Problem(401, "expired",
                  "the node certificate ended " + to_rfc3339(row.time("certificate_not_after")) +
                      "; on the node, with a new join token: rap-node-agent enroll --token-file "
                      "FILE");
  }
  if (row.text("identity_status") == "superseded" &&
      row.time("rotated_at") + kSupersededGrace <= call.now) {
    throw Problem(401, "expired", "the node certificate was replaced by a newer one");
  }
  call.node.id = require(NodeId::parse(row.text("node_id")));
  call.node.cluster = require(ClusterId::parse(row.text("cluster_id")));
  call.node.name = row.text("name");
  call.node.disabled = row.text("membership_status") == "disabled";
  call.node.certificate_sha256 = certificate->sha256;
  call.authority = {row.integer("term"), row.text("state")};
}

}  // namespace rap::cp
