#include "controlplane/mesh/access.hpp"

#include <algorithm>

#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/clusters/keys.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/mesh/names.hpp"
#include "controlplane/mesh/routes.hpp"
#include "controlplane/nodes/presence.hpp"
#include "fabric/carry_lease.hpp"

namespace rap::cp {
namespace {

// The key's certificate is in force, so the node's mesh process has it; it has reported since $5,
// so it is there. The same condition stands in controlplane/sessions/placement.cpp.
constexpr const char* kService = R"sql(
  select s.id, s.organization_id from mesh_services s
  where s.cluster_id = $1 and s.node_id = $2 and s.organization_id = $3
    and exists (select from mesh_keys k where k.cluster_id = s.cluster_id and k.node_id = s.node_id
                  and k.service_id = s.id and k.not_after > $4)
    and exists (select from mesh_reports r where r.node_id = s.node_id and r.received_at > $5)
)sql";
constexpr const char* kServiceById = R"sql(
  select organization_id from mesh_services where id = $1 and cluster_id = $2
)sql";
// Those that answer, each person's session in an order of its own.
constexpr const char* kEntries = R"sql(
  select a.policy, r.endpoints
  from node_role_assignments a
  join cluster_memberships m on m.cluster_id = a.cluster_id and m.node_id = a.node_id
  join mesh_nodes s on s.node_id = a.node_id
  join node_heartbeat_latest h on h.node_id = a.node_id
  join mesh_reports r on r.node_id = a.node_id and r.received_at > $6
  where a.cluster_id = $1 and a.role = 'entry-node' and a.status = 'active'
    and (a.organization_id is null or a.organization_id = $2)
    and m.membership_status = 'active' and h.received_at > $3
    and s.trust <> 'quarantined' and not s.draining and not r.draining
    and exists (select from mesh_keys k
                where k.node_id = a.node_id and k.purpose = 'entry' and k.not_after > $4)
  order by md5(a.node_id || $5) limit 16
)sql";
constexpr const char* kSession = R"sql(
  select id, organization_id, cluster_id, node_id, resource_id, state from sessions where id = $1
)sql";
constexpr const char* kOwnerOfNode = R"sql(
  select m.node_id,
         case when count(distinct a.organization_id) = 1 and bool_and(a.organization_id is not null)
              then min(a.organization_id) end as owner
  from cluster_memberships m
  left join node_role_assignments a
    on a.cluster_id = m.cluster_id and a.node_id = m.node_id and a.status = 'active'
  where m.cluster_id = $1 and m.node_id = $2 and m.membership_status = 'active'
  group by m.node_id
)sql";

// Of one entry: where people reach it; where it has no public names, where nodes do.
std::vector<std::string> endpoints_of(const Row& row) {
  auto configured = public_endpoints(row.json("policy").as_object());
  if (configured && !configured->empty()) return std::move(*configured);
  std::vector<std::string> out;
  const auto reported = row.json("endpoints");
  for (const auto& item : reported.as_array()) out.emplace_back(item.as_string());
  return out;
}

std::vector<std::string> entries(const Call& call, Tx& tx, const ClusterId& cluster,
                                 const std::string& organization, const std::string& salt) {
  std::vector<std::string> out;
  const SystemTime present = call.now - kSilentAfter;
  const SystemTime reported = call.now - kReportFresh;
  for (const Row& row :
       tx.query(kEntries, {cluster, organization, present, call.now, salt, reported})) {
    for (std::string& endpoint : endpoints_of(row)) {
      const bool known = std::ranges::find(out, endpoint) != out.end();
      if (!known && out.size() < kEntriesTold) out.push_back(std::move(endpoint));
    }
  }
  return out;
}

struct Carry {
  ClusterId cluster;
  fabric::MeshTarget target;
  std::string organization, session;
  Sha256Digest client_certificate{};
  fabric::CarryVerb verb = fabric::CarryVerb::carry;
};

// Puts "entries", "carry", its end and the cluster's authority into `out`; false without an entry.
bool add_carry(const Call& call, Tx& tx, const Carry& wanted, boost::json::object& out) {
  const std::string& salt = wanted.session.empty() ? wanted.target.id : wanted.session;
  const auto where = entries(call, tx, wanted.cluster, wanted.organization, salt);
  if (where.empty()) return false;
  fabric::CarryClaims claims;
  claims.issuer = wanted.cluster.str();
  claims.target = wanted.target;
  claims.user_id = call.person.id.str();
  claims.organization_id = wanted.organization;
  claims.session_id = wanted.session;
  claims.issued_at = to_unix_seconds(call.now);
  claims.expires_at = claims.issued_at + fabric::kCarryLifeMaxS;
  claims.verb = wanted.verb;
  claims.bulk = wanted.verb == fabric::CarryVerb::carry;
  claims.client_certificate_sha256 = wanted.client_certificate;
  const auto keys = call.services->cluster_keys.get(tx, wanted.cluster);
  const Secret seed = keys->lease.seed();
  out["entries"] = boost::json::array(where.begin(), where.end());
  out["carry"] = require(fabric::mint_carry_lease(claims, seed.bytes()));
  out["carry_expires_at"] = to_rfc3339(from_unix_seconds(claims.expires_at));
  out["cluster_ca_pem"] = keys->ca.certificate_pem();
  return true;
}

std::optional<std::string> service_of(const Call& call, Tx& tx, const ClusterId& cluster,
                                      const std::string& node, const std::string& organization,
                                      SystemTime reported) {
  const Rows rows = tx.query(kService, {cluster, node, organization, call.now, reported});
  if (rows.empty()) return std::nullopt;
  return rows[0].text("id");
}

[[noreturn]] void no_way() {
  refuse(Errc::unavailable,
         "no entry of the cluster answers, or the session cannot be reached yet");
}

// Again for a session that goes on: paths are replaced with the control plane away for half a day.
Reply renew(const Call& call, Tx& tx) {
  tx.enter(call.person.scope());
  const Rows rows = tx.query(kSession, {call.path_id<SessionId>("id")});
  if (rows.empty()) refuse_not_found();
  const Row& session = rows[0];
  const auto organization = require(OrganizationId::parse(session.text("organization_id")));
  if (!call.person.is_member(organization)) {
    refuse(Errc::forbidden, "only members of the organization attach to its sessions");
  }
  require(check_attach(*session_state_from_name(session.text("state"))));
  const auto cluster = require(ClusterId::parse(session.text("cluster_id")));
  const Sha256Digest certificate = client_certificate_of(call);
  tx.enter(Scope::platform());
  // The lease is for later: a node that says nothing now may be there then.
  const auto service =
      service_of(call, tx, cluster, session.text("node_id"), organization.str(), SystemTime{});
  if (!service) no_way();
  boost::json::object body;
  body["service"] = fabric::service_spiffe(cluster.str(), *service);
  const Carry wanted{cluster,
                     {fabric::MeshTarget::Kind::service, *service},
                     organization.str(),
                     session.text("id"),
                     certificate};
  if (!add_carry(call, tx, wanted, body)) no_way();
  audit(tx, Actor::of(call.person), cluster.str(),
        {"session.carry_granted", session.text("id"), organization.str()}, {}, call.now);
  return json_reply(200, body);
}

// For the platform's owner: `rapctl mesh trace` opens synthetic.echo there and is told the hops.
Reply trace(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  const auto cluster = call.path_id<ClusterId>("id");
  Carry wanted{cluster, {}, {}, {}, client_certificate_of(call), fabric::CarryVerb::trace};
  wanted.target.id = call.text("to");
  if (NodeId::parse(wanted.target.id)) {
    wanted.target.kind = fabric::MeshTarget::Kind::node;
    const Rows rows = tx.query(kOwnerOfNode, {cluster, wanted.target.id});
    if (rows.empty()) refuse_not_found();
    wanted.organization = rows[0].text_or_none("owner").value_or("");
  } else if (MeshServiceId::parse(wanted.target.id)) {
    const Rows rows = tx.query(kServiceById, {wanted.target.id, cluster});
    if (rows.empty()) refuse_not_found();
    wanted.organization = rows[0].text("organization_id");
  } else {
    call.bad_field("to", "is a node or a service");
  }
  boost::json::object body;
  body["target"] = fabric::target_spiffe(cluster.str(), wanted.target);
  body["authority"] = fabric::mesh_authority(wanted.target);
  if (!add_carry(call, tx, wanted, body)) no_way();
  boost::json::object detail;
  detail["to"] = wanted.target.id;
  audit(tx, Actor::of(call.person), cluster.str(), {"mesh.trace_granted", wanted.target.id}, detail,
        call.now);
  return json_reply(200, body);
}

}  // namespace

std::optional<boost::json::object> mesh_access(const Call& call, Tx& tx,
                                               const LeaseRequest& request,
                                               fabric::LeaseClaims claims) {
  const auto organization = require(OrganizationId::parse(request.organization_id));
  tx.enter(Scope::platform());
  const auto service = service_of(call, tx, request.cluster, request.node_id,
                                  request.organization_id, call.now - kReportFresh);
  boost::json::object out;
  bool good = false;
  if (service) {
    const Carry wanted{request.cluster,
                       {fabric::MeshTarget::Kind::service, *service},
                       request.organization_id,
                       request.session_id,
                       request.client_certificate};
    good = add_carry(call, tx, wanted, out);
  }
  tx.enter(Scope::of(organization));
  if (!good) return std::nullopt;
  claims.audience = fabric::service_spiffe(request.cluster.str(), *service);
  claims.lease_id.clear();  // another one: each is accepted once
  const auto keys = call.services->cluster_keys.get(tx, request.cluster);
  const Secret seed = keys->lease.seed();
  out["service"] = claims.audience;
  out["lease"] = require(fabric::mint_lease(claims, seed.bytes()));
  return out;
}

void add_mesh_access_routes(std::vector<Route>& routes) {
  routes.push_back({"POST",
                    "/v1/sessions/{id}/carry",
                    Who::person,
                    "Another carry lease for a session that goes on, and the entries that answer",
                    {{200, "CarryAccess"}, 403, 404, 409},
                    renew,
                    {text_field("client_certificate_sha256", 43, 64)}});
  routes.push_back({"POST",
                    "/v1/clusters/{id}/mesh-trace",
                    Who::owner,
                    "The right to trace the way to a node or a service",
                    {{200, "TraceAccess"}, 404},
                    trace,
                    {text_field("to", 1, 40), text_field("client_certificate_sha256", 43, 64)}});
}

}  // namespace rap::cp
