#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/mesh/rounds.hpp"
#include "controlplane/nodes/desired.hpp"
#include "controlplane/nodes/presence.hpp"
#include "controlplane/nodes/routes.hpp"

namespace rap::cp {
namespace {

constexpr const char* kList = R"sql(
  select n.id, n.name, n.facts, n.revision, n.created_at, m.cluster_id, m.membership_status,
         m.status_reason, m.health, m.group_id, m.joined_at, h.received_at, h.agent_version,
         h.mesh_endpoint, h.director_version, h.payload, i.certificate_not_after,
         i.certificate_serial
  from nodes n
  join cluster_memberships m on m.node_id = n.id
  left join node_heartbeat_latest h on h.node_id = n.id
  left join node_identities i
    on i.node_id = n.id and i.cluster_id = m.cluster_id and i.identity_status = 'active'
  where n.id > $1 and ($2 = '' or m.cluster_id = $2)
  order by n.id limit $3
)sql";
constexpr const char* kGet = R"sql(
  select n.id, n.name, n.facts, n.revision, n.created_at, m.cluster_id, m.membership_status,
         m.status_reason, m.health, m.group_id, m.joined_at, h.received_at, h.agent_version,
         h.mesh_endpoint, h.director_version, h.payload, i.certificate_not_after,
         i.certificate_serial
  from nodes n
  join cluster_memberships m on m.node_id = n.id
  left join node_heartbeat_latest h on h.node_id = n.id
  left join node_identities i
    on i.node_id = n.id and i.cluster_id = m.cluster_id and i.identity_status = 'active'
  where n.id = $1
)sql";
constexpr const char* kCapabilities =
    "select name, detail, reported_at from node_capabilities where node_id = $1 order by name";
constexpr const char* kServices = R"sql(
  select s.service_instance_id, s.service_type, a.organization_id, s.desired_state,
         s.reported_state, s.detail, s.version, s.pid, s.last_heartbeat_at
  from node_service_instances s
  left join node_role_assignments a on a.id = s.service_instance_id
  where s.node_id = $1 order by s.service_instance_id
)sql";
constexpr const char* kSetStatus = R"sql(
  update cluster_memberships set membership_status = $2, status_reason = $3
  where node_id = $1 and membership_status <> 'revoked'
  returning cluster_id
)sql";
constexpr const char* kTouch = R"sql(
  update nodes set revision = revision + 1, updated_at = now(),
         enrollment_status = case when $2 = 'revoked' then 'revoked' else enrollment_status end
  where id = $1
)sql";
constexpr const char* kRevokeIdentities = R"sql(
  update node_identities set identity_status = 'revoked', revoked_at = $2
  where node_id = $1 and identity_status <> 'revoked'
)sql";
constexpr const char* kForgetMeshKeys = "delete from mesh_keys where node_id = $1";
constexpr const char* kRemoveRoles = R"sql(
  update node_role_assignments set status = 'removed', removed_at = $2
  where node_id = $1 and status = 'active'
)sql";
constexpr const char* kEndSessions = R"sql(
  update sessions set state = 'failed', detail = 'the node was revoked', closed_at = $2,
         updated_at = $2, revision = revision + 1
  where node_id = $1 and state not in ('closed', 'failed')
)sql";

boost::json::object summary(const Row& row, SystemTime now) {
  boost::json::object out;
  out["id"] = row.text("id");
  out["name"] = row.text("name");
  out["cluster_id"] = row.text("cluster_id");
  out["status"] = row.text("membership_status");
  out["status_reason"] = nullptr;
  if (const auto reason = row.text_or_none("status_reason")) out["status_reason"] = *reason;
  const auto seen = row.time_or_none("received_at");
  // Nothing is heard from a revoked node any more, however short ago its last word is.
  const bool heard = row.text("membership_status") != "revoked" && is_present(seen, now);
  out["presence"] = heard ? "online" : "offline";
  out["last_heartbeat_at"] = nullptr;
  if (seen) out["last_heartbeat_at"] = to_rfc3339(*seen);
  for (const char* key : {"group_id", "agent_version", "mesh_endpoint", "certificate_serial"}) {
    out[key] = nullptr;
    if (const auto value = row.text_or_none(key)) out[key] = *value;
  }
  out["certificate_not_after"] = nullptr;
  if (const auto until = row.time_or_none("certificate_not_after")) {
    out["certificate_not_after"] = to_rfc3339(*until);
  }
  out["director_version"] = row.integer_or_none("director_version").value_or(0);
  out["joined_at"] = to_rfc3339(row.time("joined_at"));
  return out;
}

boost::json::object full(Tx& tx, const Row& row, SystemTime now) {
  boost::json::object out = summary(row, now);
  out["facts"] = row.json("facts");
  out["heartbeat"] = nullptr;
  if (row.text_or_none("payload")) out["heartbeat"] = row.json("payload");
  boost::json::array capabilities;
  for (const Row& c : tx.query(kCapabilities, {row.text("id")})) {
    boost::json::object item;
    item["name"] = c.text("name");
    item["detail"] = c.json("detail");
    item["reported_at"] = to_rfc3339(c.time("reported_at"));
    capabilities.push_back(std::move(item));
  }
  out["capabilities"] = std::move(capabilities);
  boost::json::array workloads;
  for (const Row& s : tx.query(kServices, {row.text("id")})) {
    boost::json::object item;
    item["assignment_id"] = s.text("service_instance_id");
    item["role"] = s.text("service_type");
    item["organization_id"] = nullptr;
    if (const auto organization = s.text_or_none("organization_id")) {
      item["organization_id"] = *organization;
    }
    item["desired_state"] = s.text("desired_state");
    item["state"] = s.text("reported_state");
    item["detail"] = s.text("detail");
    item["version"] = s.text("version");
    item["pid"] = nullptr;
    if (const auto pid = s.integer_or_none("pid")) item["pid"] = *pid;
    item["last_heartbeat_at"] = to_rfc3339(s.time("last_heartbeat_at"));
    workloads.push_back(std::move(item));
  }
  out["workloads"] = std::move(workloads);
  return out;
}

Reply one(const Call& call, Tx& tx, const NodeId& id) {
  const Rows rows = tx.query(kGet, {id});
  if (rows.empty()) refuse_not_found();
  return entity_reply(200, full(tx, rows[0], call.now), rows[0].integer("revision"));
}

Reply list(const Call& call, Tx& tx) {
  const Page page = page_of(call);
  std::string cluster;
  if (const auto given = call.query("cluster_id"))
    cluster = require(ClusterId::parse(*given)).str();
  return page_reply(page, tx.query(kList, {page.after, cluster, page.fetch()}),
                    [&](const Row& row) { return summary(row, call.now); });
}

Reply get(const Call& call, Tx& tx) {
  return one(call, tx, call.path_id<NodeId>("id"));
}

// One change of a node's standing; the rest of the cluster hears of it through their snapshots.
Reply set_status(const Call& call, Tx& tx, const std::string& status, const std::string& kind) {
  tx.enter(Scope::platform());
  const auto id = call.path_id<NodeId>("id");
  if (tx.query(kGet, {id}).empty()) refuse_not_found();
  const auto reason = call.text_or_none("reason");
  const Rows changed = tx.query(kSetStatus, {id, status, reason});
  if (changed.empty()) refuse(Errc::conflict, "the node was revoked; that is final");
  tx.query(kTouch, {id, status});
  if (status == "revoked") {
    tx.query(kRevokeIdentities, {id, call.now});
    tx.query(kForgetMeshKeys, {id});
    tx.query(kRemoveRoles, {id, call.now});
    tx.query(kEndSessions, {id, call.now});
    close_node_connections(tx, id);
  }
  desired_changed(tx, id);
  mesh_changed(tx, require(ClusterId::parse(changed[0].text("cluster_id"))), Urgency::now,
               call.now);
  boost::json::object detail;
  if (reason) detail["reason"] = *reason;
  audit(tx, Actor::of(call.person), changed[0].text("cluster_id"), {kind, id.str()}, detail,
        call.now);
  return one(call, tx, id);
}

}  // namespace

void add_node_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/nodes",
                    Who::owner,
                    "List nodes",
                    {{200, "NodeSummaryList"}, 400},
                    list,
                    {},
                    {"limit", "cursor", "cluster_id"}});
  routes.push_back({"GET",
                    "/v1/nodes/{id}",
                    Who::owner,
                    "One node with what it reports",
                    {{200, "Node"}, 404},
                    get});
  const auto with = [](const char* status, const char* kind) {
    return [=](const Call& call, Tx& tx) { return set_status(call, tx, status, kind); };
  };
  Route revoke{"POST",
               "/v1/nodes/{id}/revoke",
               Who::owner,
               "End a node's identity for good: certificates, roles, connections",
               {{200, "Node"}, 404, 409},
               with("revoked", "node.revoked"),
               {text_field("reason", 1, 500)}};
  routes.push_back(std::move(revoke));
  Route disable{"POST",
                "/v1/nodes/{id}/disable",
                Who::owner,
                "Give a node no new work",
                {{200, "Node"}, 404, 409},
                with("disabled", "node.disabled"),
                {optional_text("reason", 500)}};
  routes.push_back(std::move(disable));
  routes.push_back(Route{"POST",
                         "/v1/nodes/{id}/enable",
                         Who::owner,
                         "Undo disable",
                         {{200, "Node"}, 404, 409},
                         with("active", "node.enabled")}
                       .changing_trust());
}

}  // namespace rap::cp
