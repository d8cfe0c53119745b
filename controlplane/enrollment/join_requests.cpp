#include <boost/json.hpp>

#include "contracts/snapshot_limits.hpp"
#include "controlplane/audit/audit.hpp"
#include "controlplane/clusters/director_root.hpp"
#include "controlplane/clusters/keys.hpp"
#include "controlplane/enrollment/capabilities.hpp"
#include "controlplane/enrollment/identities.hpp"
#include "controlplane/enrollment/routes.hpp"
#include "controlplane/enrollment/rules.hpp"
#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/http/shapes.hpp"
#include "controlplane/nodes/capabilities.hpp"

namespace rap::cp {
namespace {

constexpr const char* kClusterExists = "select 1 as one from clusters where id = $1";
constexpr const char* kList = R"sql(
  select id, cluster_id, token_id, node_name, node_fingerprint, reported_capabilities,
         reported_facts, requested_roles, agent_version, address, status, reviewed_by_user_id,
         reviewed_at, approved_node_id, rejection_reason, created_at, renews_node_id
  from node_join_requests where cluster_id = $1 and id > $2 and ($4 = '' or status = $4)
  order by id limit $3
)sql";
constexpr const char* kGet = R"sql(
  select id, cluster_id, token_id, node_name, node_fingerprint, reported_capabilities,
         reported_facts, requested_roles, agent_version, address, status, reviewed_by_user_id,
         reviewed_at, approved_node_id, rejection_reason, created_at, renews_node_id
  from node_join_requests where id = $1
)sql";
constexpr const char* kLock = R"sql(
  select id, cluster_id, node_name, public_key, reported_capabilities, reported_facts, status,
         renews_node_id
  from node_join_requests where id = $1 for update
)sql";
constexpr const char* kDecide = R"sql(
  update node_join_requests set status = $2, reviewed_by_user_id = $3, reviewed_at = $4,
         approved_node_id = $5, rejection_reason = $6
  where id = $1
)sql";
constexpr const char* kInsertNode = "insert into nodes (id, name, facts) values ($1, $2, $3)";
constexpr const char* kInsertMembership = R"sql(
  insert into cluster_memberships (cluster_id, node_id, membership_status, group_id, joined_at)
  values ($1, $2, 'active', $3, $4)
)sql";
// An owner who disabled the node meant it: approval gives a certificate, no more.
constexpr const char* kRenewNode = R"sql(
  update nodes set facts = $2, revision = revision + 1, updated_at = $3
  where id = $1 and enrollment_status = 'approved' returning name
)sql";
constexpr const char* kNameTaken = R"sql(
  select 1 as one from nodes n join cluster_memberships m on m.node_id = n.id
  where m.cluster_id = $1 and n.name = $2 and m.membership_status <> 'revoked'
)sql";
constexpr const char* kGroupExists =
    "select 1 as one from node_groups where cluster_id = $1 and id = $2";

boost::json::object to_json(const Row& row) {
  boost::json::object out;
  for (const char* key : {"id", "cluster_id", "node_name", "agent_version", "address", "status"}) {
    out[key] = row.text(key);
  }
  out["join_token_id"] = row.text("token_id");
  out["fingerprint"] = to_hex(row.bytes("node_fingerprint"));
  out["capabilities"] = row.json("reported_capabilities");
  out["facts"] = row.json("reported_facts");
  out["requested_roles"] = row.json("requested_roles");
  out["created_at"] = to_rfc3339(row.time("created_at"));
  for (const char* key : {"reviewed_by_user_id", "rejection_reason", "renews_node_id"}) {
    out[key] = nullptr;
    if (const auto value = row.text_or_none(key)) out[key] = *value;
  }
  out["node_id"] = nullptr;
  if (const auto node = row.text_or_none("approved_node_id")) out["node_id"] = *node;
  out["reviewed_at"] = nullptr;
  if (const auto at = row.time_or_none("reviewed_at")) out["reviewed_at"] = to_rfc3339(*at);
  return out;
}

Reply list(const Call& call, Tx& tx) {
  const auto cluster = call.path_id<ClusterId>("id");
  if (tx.query(kClusterExists, {cluster}).empty()) refuse_not_found();
  const Page page = page_of(call);
  return page_reply(
      page, tx.query(kList, {cluster, page.after, page.fetch(), call.query("status").value_or("")}),
      to_json);
}

Reply get(const Call& call, Tx& tx) {
  const Rows rows = tx.query(kGet, {call.path_id<JoinRequestId>("id")});
  if (rows.empty()) refuse_not_found();
  return json_reply(200, to_json(rows[0]));
}

Row lock_pending(const Call& call, Tx& tx) {
  const Rows rows = tx.query(kLock, {call.path_id<JoinRequestId>("id")});
  if (rows.empty()) refuse_not_found();
  if (rows[0].text("status") != "pending") {
    refuse(Errc::conflict, "the request was already " + rows[0].text("status"));
  }
  return rows[0];
}

// The certificate itself is issued when the node asks again: it brings the request that proves it
// still has the key.
struct Approved {
  NodeId node;
  std::string name;
};

Approved make_node(const Call& call, Tx& tx, const Row& request, const ClusterId& cluster) {
  require_countersigned(tx, cluster);
  const std::string name = call.text_or_none("node_name").value_or(request.text("node_name"));
  if (call.has("node_name") && !is_node_name(name)) {
    call.bad_field("node_name",
                   "1 to 63 of A-Z, a-z, 0-9, '.' and '-', the last two not at the ends");
  }
  if (!tx.query(kNameTaken, {cluster, name}).empty()) {
    refuse(Errc::conflict, "a node called " + name + " is in the cluster; give node_name another");
  }
  std::optional<std::string> group;
  if (call.has("group_id")) {
    group = call.id<NodeGroupId>("group_id").str();
    if (tx.query(kGroupExists, {cluster, *group}).empty()) {
      call.bad_field("group_id", "is no group of this cluster");
    }
  }
  const auto node = NodeId::fresh();
  tx.query(kInsertNode, {node, name, request.text("reported_facts")});
  tx.query(kInsertMembership, {cluster, node, group, call.now});
  return {node, name};
}

Approved renew_node(const Call& call, Tx& tx, const Row& request, const std::string& id) {
  for (const char* field : {"node_name", "group_id"}) {
    if (call.has(field)) call.bad_field(field, "stays as it is: the request renews a node");
  }
  const Rows renewed = tx.query(kRenewNode, {id, request.text("reported_facts"), call.now});
  if (renewed.empty()) refuse(Errc::conflict, "the node was revoked; reject the request");
  return {require(NodeId::parse(id)), renewed[0].text("name")};
}

Reply approve(const Call& call, Tx& tx) {
  const auto id = call.path_id<JoinRequestId>("id");
  const Row request = lock_pending(call, tx);
  const auto cluster = require(ClusterId::parse(request.text("cluster_id")));
  const auto renews = request.text_or_none("renews_node_id");
  const Approved approved =
      renews ? renew_node(call, tx, request, *renews) : make_node(call, tx, request, cluster);
  const auto capabilities =
      require(parse_capabilities(request.json("reported_capabilities").as_array()));
  store_capabilities(tx, {{approved.node.str(), &capabilities}});
  tx.query(kDecide, {id, "approved", call.person.id, call.now, approved.node, std::nullopt});
  boost::json::object detail;
  detail["node_id"] = approved.node.str();
  detail["node_name"] = approved.name;
  detail["renewal"] = renews.has_value();
  audit(tx, Actor::of(call.person), cluster.str(), {"join_request.approved", id.str()}, detail,
        call.now);
  return json_reply(200, to_json(tx.query(kGet, {id})[0]));
}

Reply reject(const Call& call, Tx& tx) {
  const auto id = call.path_id<JoinRequestId>("id");
  const Row request = lock_pending(call, tx);
  tx.query(kDecide, {id, "rejected", call.person.id, call.now, std::nullopt, call.text("reason")});
  boost::json::object detail;
  detail["reason"] = call.text("reason");
  audit(tx, Actor::of(call.person), request.text("cluster_id"), {"join_request.rejected", id.str()},
        detail, call.now);
  return json_reply(200, to_json(tx.query(kGet, {id})[0]));
}

}  // namespace

void add_join_request_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/clusters/{id}/join-requests",
                    Who::owner,
                    "List join requests",
                    {{200, "JoinRequestList"}, 404},
                    list,
                    {},
                    {"limit", "cursor", {"status", kJoinRequestStatusWords}}});
  routes.push_back({"GET",
                    "/v1/join-requests/{id}",
                    Who::owner,
                    "One join request",
                    {{200, "JoinRequest"}, 404},
                    get});
  routes.push_back(Route{
      "POST",
      "/v1/join-requests/{id}/approve",
      Who::owner,
      "Make the machine a node, or renew the node",
      {{200, "JoinRequest"}, 404, 409},
      approve,
      {text_field("node_name", 1, kNodeNameMax, Need::optional), optional_text("group_id", 40)}}
                       .changing_trust());
  routes.push_back({"POST",
                    "/v1/join-requests/{id}/reject",
                    Who::owner,
                    "Refuse the node",
                    {{200, "JoinRequest"}, 404, 409},
                    reject,
                    {text_field("reason", 1, 500)}});
}

}  // namespace rap::cp
