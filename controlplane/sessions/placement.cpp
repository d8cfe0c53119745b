#include "controlplane/sessions/placement.hpp"

#include <algorithm>

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "base/secret.hpp"
#include "controlplane/clusters/keys.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/mesh/access.hpp"
#include "controlplane/nodes/presence.hpp"

namespace rap::cp {
namespace {

// The one to take: without an obstacle (numbered as in rules.hpp) the node with the fewest
// sessions. Only nodes that could take it have theirs counted, by the index of live ones. A node is
// reached over its mesh process (as in controlplane/mesh/access.cpp) or its listener; which of them
// it has makes none better.
constexpr const char* kBest = R"sql(
  select c.assignment_id, c.node_id, c.obstacle, c.workload
  from (
    select a.id as assignment_id, a.node_id, a.organization_id,
           coalesce(w.reported_state, '') as workload,
           case when m.membership_status <> 'active' then 4
                when h.received_at is null or h.received_at <= $4 then 3
                when h.mesh_endpoint = '' and not exists (
                  select from mesh_services s join mesh_keys k
                    on k.cluster_id = s.cluster_id and k.node_id = s.node_id and k.service_id = s.id
                  join mesh_reports r on r.node_id = s.node_id
                  where s.cluster_id = a.cluster_id and s.node_id = a.node_id
                    and s.organization_id = $3 and k.not_after > $5 and r.received_at > $6) then 2
                when w.reported_state in ('failed', 'backoff', 'stopped') then 1
                -- one with a process serves, such as a version whose successor was refused
                when w.reported_state = 'degraded' and coalesce(w.pid, 0) = 0 then 1
                else 0 end as obstacle
    from node_role_assignments a
    join cluster_memberships m on m.cluster_id = a.cluster_id and m.node_id = a.node_id
    left join node_heartbeat_latest h on h.node_id = a.node_id
    left join node_service_instances w on w.service_instance_id = a.id
    where a.cluster_id = $1 and a.role = $2 and a.status = 'active'
      and (a.organization_id is null or a.organization_id = $3)
  ) c
  order by c.obstacle,
           case when c.obstacle = 0
                then (select count(*) from sessions s
                      where s.node_id = c.node_id and s.state not in ('closed', 'failed'))
           end,
           c.node_id, c.organization_id nulls last
  limit 1
)sql";
constexpr const char* kNameOf = "select name from nodes where id = $1";
constexpr const char* kEndpoint =
    "select mesh_endpoint from node_heartbeat_latest where node_id = $1";

}  // namespace

Result<Candidate> choose_node(const Call& call, Tx& tx, const ClusterId& cluster,
                              const OrganizationId& organization, const std::string& protocol) {
  const SystemTime now = call.now;
  const std::string role = protocol + "-worker";
  const Rows rows = tx.query(kBest, {cluster, role, organization, SystemTime(now - kSilentAfter),
                                     now, SystemTime(now - kReportFresh)});
  if (rows.empty()) return place(std::nullopt, role);
  Candidate best;
  best.node_id = rows[0].text("node_id");
  best.assignment_id = rows[0].text("assignment_id");
  best.obstacle = static_cast<Obstacle>(rows[0].integer("obstacle"));
  best.workload = rows[0].text("workload");
  // Organizations are not told which node it is.
  if (best.obstacle != Obstacle::none && call.person.owner) {
    best.node_name = tx.query(kNameOf, {best.node_id})[0].text("name");
  }
  return place(best, role);
}

boost::json::object grant_access(const Call& call, Tx& tx, const LeaseRequest& request) {
  const auto keys = call.services->cluster_keys.get(tx, request.cluster);
  NodeCaller node;
  node.cluster = request.cluster;
  node.id = require(NodeId::parse(request.node_id));
  fabric::LeaseClaims claims;
  claims.issuer = request.cluster.str();
  claims.audience = node.spiffe();
  claims.user_id = call.person.id.str();
  claims.user_name = call.person.display_name;
  claims.lease_id = to_base64url(random_bytes(16));
  claims.issued_at = to_unix_seconds(call.now);
  claims.expires_at = claims.issued_at + fabric::kLeaseLifeMaxS;
  claims.session_id = request.session_id;
  claims.organization_id = request.organization_id;
  claims.resource_id = request.resource_id;
  claims.verb = request.verb;
  claims.mode = request.mode;
  claims.client_certificate_sha256 = request.client_certificate;
  boost::json::object out;
  if (auto mesh = mesh_access(call, tx, request, claims)) {
    out["mesh"] = std::move(*mesh);
    return out;
  }
  // The single hop, which tells where the node is: only where there is no other way.
  const Rows rows = tx.query(kEndpoint, {request.node_id});
  const std::string endpoint = rows.empty() ? "" : rows[0].text("mesh_endpoint");
  if (endpoint.empty()) {
    refuse(Errc::unavailable,
           "the node does not say where it can be reached, and no entry of the cluster answers");
  }
  const Secret seed = keys->lease.seed();
  out["lease"] = require(fabric::mint_lease(claims, seed.bytes()));
  boost::json::object where;
  where["endpoint"] = endpoint;
  where["spiffe_id"] = node.spiffe();
  where["cluster_ca_pem"] = keys->ca.certificate_pem();
  out["node"] = std::move(where);
  return out;
}

Sha256Digest client_certificate_of(const Call& call) {
  constexpr std::string_view kField = "client_certificate_sha256";
  const std::string text = call.text(kField);
  const auto bytes = text.size() == 64 ? from_hex(text) : from_base64url(text);
  if (!bytes || bytes->size() != 32) {
    call.bad_field(kField, "is a SHA-256 in hex or base64url");
  }
  Sha256Digest digest{};
  std::ranges::copy(*bytes, digest.begin());
  return digest;
}

fabric::LeaseMode mode_of(const Call& call) {
  const std::string mode = call.text_or_none("mode").value_or("control");
  if (mode == "control") return fabric::LeaseMode::control;
  if (mode == "view") return fabric::LeaseMode::view;
  call.bad_field("mode", "is control or view");
}

}  // namespace rap::cp
