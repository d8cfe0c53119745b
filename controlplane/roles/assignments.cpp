#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/mesh/names.hpp"
#include "controlplane/mesh/rounds.hpp"
#include "controlplane/nodes/desired.hpp"
#include "controlplane/roles/release_roles.hpp"
#include "controlplane/roles/routes.hpp"
#include "controlplane/roles/rules.hpp"
#include "controlplane/sessions/ending.hpp"

namespace rap::cp {
namespace {

constexpr std::size_t kPolicyMax = 8 * 1024;

constexpr const char* kClusterExists = "select 1 as one from clusters where id = $1";
constexpr const char* kMembership = R"sql(
  select membership_status from cluster_memberships where cluster_id = $1 and node_id = $2
  for update
)sql";
constexpr const char* kCapabilities = "select name from node_capabilities where node_id = $1";
constexpr const char* kOrganization = "select status from organizations where id = $1";
constexpr const char* kDuplicate = R"sql(
  select 1 as one from node_role_assignments
  where cluster_id = $1 and node_id = $2 and role = $3 and status = 'active'
    and coalesce(organization_id, '') = coalesce($4, '')
)sql";
constexpr const char* kInsert = R"sql(
  insert into node_role_assignments
    (id, cluster_id, node_id, role, organization_id, policy, authority_term, assigned_by_user_id,
     assigned_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
)sql";
constexpr const char* kGet = R"sql(
  select a.id, a.cluster_id, a.node_id, a.role, a.organization_id, a.status, a.policy,
         a.assigned_by_user_id, a.assigned_at, a.removed_at, s.reported_state, s.detail, s.version
  from node_role_assignments a
  left join node_service_instances s on s.service_instance_id = a.id
  where a.id = $1
)sql";
constexpr const char* kList = R"sql(
  select a.id, a.cluster_id, a.node_id, a.role, a.organization_id, a.status, a.policy,
         a.assigned_by_user_id, a.assigned_at, a.removed_at, s.reported_state, s.detail, s.version
  from node_role_assignments a
  left join node_service_instances s on s.service_instance_id = a.id
  where a.cluster_id = $1 and a.id > $2 and a.status = 'active' order by a.id limit $3
)sql";
constexpr const char* kRemove = R"sql(
  update node_role_assignments set status = 'removed', removed_at = $2
  where id = $1 and status = 'active' returning cluster_id, node_id, role, organization_id
)sql";

boost::json::object to_json(const Row& row) {
  boost::json::object out;
  for (const char* key : {"id", "cluster_id", "node_id", "role", "status", "assigned_by_user_id"}) {
    out[key] = row.text(key);
  }
  out["organization_id"] = nullptr;
  if (const auto organization = row.text_or_none("organization_id")) {
    out["organization_id"] = *organization;
  }
  out["policy"] = row.json("policy");
  out["assigned_at"] = to_rfc3339(row.time("assigned_at"));
  out["workload"] = nullptr;
  if (const auto state = row.text_or_none("reported_state")) {
    boost::json::object workload;
    workload["state"] = *state;
    workload["detail"] = row.text("detail");
    workload["version"] = row.text("version");
    out["workload"] = std::move(workload);
  }
  return out;
}

AssignmentRequest facts(const Call& call, Tx& tx, const ClusterId& cluster, const NodeId& node,
                        const std::optional<std::string>& organization) {
  AssignmentRequest request;
  request.role = call.text("role");
  const Rows membership = tx.query(kMembership, {cluster, node});
  request.node_in_cluster = !membership.empty();
  if (!membership.empty()) request.membership_status = membership[0].text("membership_status");
  for (const Row& row : tx.query(kCapabilities, {node})) {
    request.capabilities.push_back(row.text("name"));
  }
  request.release_roles = release_roles(tx);
  if (organization) {
    request.organization_given = true;
    const Rows rows = tx.query(kOrganization, {*organization});
    request.organization_active = !rows.empty() && rows[0].text("status") == "active";
  }
  request.already_assigned =
      !tx.query(kDuplicate, {cluster, node, request.role, organization}).empty();
  return request;
}

// RFC 6901: a member may be called anything.
std::string pointer_part(std::string_view name) {
  std::string out;
  for (const char c : name) {
    out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  }
  return out;
}

void check_policy_of(const Call& call) {
  const boost::json::object& policy = call.object("policy");
  if (boost::json::serialize(policy).size() > kPolicyMax) call.bad_field("policy", "at most 8 KiB");
  if (const auto fault = check_policy(policy)) {
    call.bad_field("policy/" + pointer_part(fault->member), fault->detail);
  }
  require(public_endpoints(policy));
}

Reply create(const Call& call, Tx& tx) {
  const auto cluster = call.path_id<ClusterId>("id");
  if (tx.query(kClusterExists, {cluster}).empty()) refuse_not_found();
  const auto node = call.id<NodeId>("node_id");
  std::optional<std::string> organization;
  if (call.has("organization_id")) organization = call.id<OrganizationId>("organization_id").str();
  check_policy_of(call);
  require(check_assignment(facts(call, tx, cluster, node, organization)));
  const auto id = RoleAssignmentId::fresh();
  tx.query(kInsert, {id, cluster, node, call.text("role"), organization, call.object("policy"),
                     call.authority.term, call.person.id, call.now});
  desired_changed(tx, node);
  mesh_changed(tx, cluster, Urgency::now, call.now);
  boost::json::object detail;
  detail["node_id"] = node.str();
  detail["role"] = call.text("role");
  audit(tx, Actor::of(call.person), cluster.str(),
        {"role.assigned", id.str(), organization.value_or("")}, detail, call.now);
  return json_reply(201, to_json(tx.query(kGet, {id})[0]));
}

Reply list(const Call& call, Tx& tx) {
  const auto cluster = call.path_id<ClusterId>("id");
  if (tx.query(kClusterExists, {cluster}).empty()) refuse_not_found();
  const Page page = page_of(call);
  return page_reply(page, tx.query(kList, {cluster, page.after, page.fetch()}), to_json);
}

Reply remove(const Call& call, Tx& tx) {
  tx.enter(call.person.scope());
  const auto id = call.path_id<RoleAssignmentId>("id");
  const Rows rows = tx.query(kRemove, {id, call.now});
  if (rows.empty()) refuse_not_found();
  const Row& row = rows[0];
  desired_changed(tx, require(NodeId::parse(row.text("node_id"))));
  mesh_changed(tx, require(ClusterId::parse(row.text("cluster_id"))), Urgency::now, call.now);
  boost::json::object detail;
  detail["node_id"] = row.text("node_id");
  detail["role"] = row.text("role");
  audit(tx, Actor::of(call.person), row.text("cluster_id"),
        {"role.removed", id.str(), row.text_or_none("organization_id").value_or("")}, detail,
        call.now);
  end_sessions(call, tx, {.assignment = id.str()}, "the role was taken from the node");
  return no_content();
}

}  // namespace

void add_role_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/clusters/{id}/role-assignments",
                    Who::owner,
                    "List what nodes may do",
                    {{200, "RoleAssignmentList"}, 404},
                    list,
                    {},
                    {"limit", "cursor"}});
  routes.push_back(Route{"POST",
                         "/v1/clusters/{id}/role-assignments",
                         Who::owner,
                         "Let a node do something; policy: product, version, channel, config",
                         {{201, "RoleAssignment"}, 403, 404, 409, 422},
                         create,
                         {text_field("node_id", 1, 40),
                          text_field("role", 1, 40),
                          optional_text("organization_id", 40),
                          {"policy", FieldType::object, Need::optional}}}
                       .creating()
                       .changing_trust());
  Route end{"DELETE",   "/v1/role-assignments/{id}",
            Who::owner, "Take a role from a node",
            {204, 404}, remove};
  routes.push_back(std::move(end));
}

}  // namespace rap::cp
