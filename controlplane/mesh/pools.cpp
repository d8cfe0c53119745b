// Egress pools: nodes behind one name. Owners keep the members; organizations see names and whether
// they can be used.
#include <algorithm>
#include <set>

#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/mesh/names.hpp"
#include "controlplane/mesh/rounds.hpp"
#include "controlplane/mesh/routes.hpp"
#include "controlplane/nodes/presence.hpp"

namespace rap::cp {
namespace {

// As directories have them.
constexpr std::int64_t kMembersMax = 64;
constexpr std::int64_t kOrganizationsMax = 64;

constexpr const char* kClusterExists = "select 1 as one from clusters where id = $1";
constexpr const char* kGet = R"sql(
  select id, cluster_id, name, everybody, revision, created_at, updated_at
  from egress_pools where id = $1
)sql";
constexpr const char* kLock =
    "select cluster_id, revision from egress_pools where id = $1 for update";
constexpr const char* kList = R"sql(
  select id, cluster_id, name, everybody, revision, created_at, updated_at
  from egress_pools where cluster_id = $1 and id > $2 order by id limit $3
)sql";
// A member can be used when it is there and works for somebody as an exit.
constexpr const char* kMembers = R"sql(
  select p.node_id, n.name, m.membership_status, h.received_at,
         exists (select from node_role_assignments a
                 where a.node_id = p.node_id and a.status = 'active'
                   and a.role in ('vpn-exit', 'vpn-connector')) as egress
  from egress_pool_members p
  join nodes n on n.id = p.node_id
  join egress_pools e on e.id = p.pool_id
  join cluster_memberships m on m.cluster_id = e.cluster_id and m.node_id = p.node_id
  left join node_heartbeat_latest h on h.node_id = p.node_id
  where p.pool_id = $1 order by p.node_id
)sql";
constexpr const char* kOrganizations = R"sql(
  select organization_id from egress_pool_organizations where pool_id = $1 order by organization_id
)sql";
constexpr const char* kNameTaken =
    "select 1 as one from egress_pools where cluster_id = $1 and name = $2 and id <> $3";
constexpr const char* kInsert =
    "insert into egress_pools (id, cluster_id, name, everybody) values ($1, $2, $3, $4)";
constexpr const char* kUpdate = R"sql(
  update egress_pools set name = $2, everybody = $3, revision = revision + 1, updated_at = now()
  where id = $1
)sql";
constexpr const char* kDelete = "delete from egress_pools where id = $1";
constexpr const char* kNodesHere = R"sql(
  select node_id from cluster_memberships
  where cluster_id = $1 and node_id = any ($2::text[]) and membership_status <> 'revoked'
)sql";
constexpr const char* kOrganizationsHere =
    "select id from organizations where id = any ($1::text[]) and status = 'active'";
constexpr const char* kForgetMembers = "delete from egress_pool_members where pool_id = $1";
constexpr const char* kAddMembers = R"sql(
  insert into egress_pool_members (pool_id, node_id) select $1, unnest($2::text[])
)sql";
constexpr const char* kForgetOrganizations =
    "delete from egress_pool_organizations where pool_id = $1";
constexpr const char* kAddOrganizations = R"sql(
  insert into egress_pool_organizations (pool_id, organization_id) select $1, unnest($2::text[])
)sql";
constexpr const char* kOfOrganization = R"sql(
  select p.id, p.name,
         count(*) filter (where m.membership_status = 'active' and h.received_at > $4
                            and (a.organization_id is null or a.organization_id = $1)
                            and a.id is not null) as usable,
         count(distinct e.node_id) as members
  from egress_pools p
  left join egress_pool_members e on e.pool_id = p.id
  left join cluster_memberships m on m.cluster_id = p.cluster_id and m.node_id = e.node_id
  left join node_heartbeat_latest h on h.node_id = e.node_id
  left join lateral (
    select id, organization_id from node_role_assignments r
    where r.node_id = e.node_id and r.status = 'active' and r.role in ('vpn-exit', 'vpn-connector')
      and (r.organization_id is null or r.organization_id = $1) limit 1) a on true
  where p.id > $2 and (p.everybody or exists (
    select from egress_pool_organizations o where o.pool_id = p.id and o.organization_id = $1))
  group by p.id, p.name order by p.id limit $3
)sql";

boost::json::object to_json(Tx& tx, const Row& row, SystemTime now) {
  boost::json::object out;
  for (const char* key : {"id", "cluster_id", "name"}) out[key] = row.text(key);
  out["everybody"] = row.boolean("everybody");
  boost::json::array members, organizations;
  for (const Row& m : tx.query(kMembers, {row.text("id")})) {
    boost::json::object member;
    member["node_id"] = m.text("node_id");
    member["name"] = m.text("name");
    const bool active = m.text("membership_status") == "active";
    const bool present = is_present(m.time_or_none("received_at"), now);
    member["state"] = !active                ? m.text("membership_status")
                      : !m.boolean("egress") ? "no exit role"
                      : present              ? "usable"
                                             : "offline";
    members.push_back(std::move(member));
  }
  for (const Row& o : tx.query(kOrganizations, {row.text("id")})) {
    organizations.emplace_back(o.text("organization_id"));
  }
  out["members"] = std::move(members);
  out["organizations"] = std::move(organizations);
  out["created_at"] = to_rfc3339(row.time("created_at"));
  out["updated_at"] = to_rfc3339(row.time("updated_at"));
  return out;
}

Reply one(const Call& call, Tx& tx, const std::string& id, unsigned status) {
  const Rows rows = tx.query(kGet, {id});
  if (rows.empty()) refuse_not_found();
  return entity_reply(status, to_json(tx, rows[0], call.now), rows[0].integer("revision"));
}

std::vector<std::string> ids(const Call& call, std::string_view field) {
  std::set<std::string> out;
  for (const auto& item : call.array(field)) out.emplace(item.as_string());
  return {out.begin(), out.end()};
}

void set_members(const Call& call, Tx& tx, const std::string& id, const std::string& cluster) {
  const auto nodes = ids(call, "members");
  if (tx.query(kNodesHere, {cluster, nodes}).size() != nodes.size()) {
    call.bad_field("members", "has a node that is not in this cluster");
  }
  tx.query(kForgetMembers, {id});
  tx.query(kAddMembers, {id, nodes});
}

void set_organizations(const Call& call, Tx& tx, const std::string& id) {
  const auto organizations = ids(call, "organizations");
  if (tx.query(kOrganizationsHere, {organizations}).size() != organizations.size()) {
    call.bad_field("organizations", "has one that is not known or not active");
  }
  tx.query(kForgetOrganizations, {id});
  tx.query(kAddOrganizations, {id, organizations});
}

void check_name(const Call& call, Tx& tx, const std::string& cluster, const std::string& id) {
  if (!is_directory_name(call.text("name"))) call.bad_field("name", "1 to 64 of A-Za-z0-9._+-");
  if (!tx.query(kNameTaken, {cluster, call.text("name"), id}).empty()) {
    refuse(Errc::conflict, "a pool of this name is there already");
  }
}

bool everybody(const Call& call, bool otherwise) {
  return call.has("everybody") ? call.body->at("everybody").as_bool() : otherwise;
}

Reply create(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  const auto cluster = call.path_id<ClusterId>("id");
  if (tx.query(kClusterExists, {cluster}).empty()) refuse_not_found();
  check_name(call, tx, cluster.str(), "");
  const auto id = EgressPoolId::fresh();
  tx.query(kInsert, {id, cluster, call.text("name"), everybody(call, false)});
  set_members(call, tx, id.str(), cluster.str());
  set_organizations(call, tx, id.str());
  mesh_changed(tx, cluster, Urgency::now, call.now);
  audit(tx, Actor::of(call.person), cluster.str(), {"mesh.pool_created", id.str()}, *call.body,
        call.now);
  return one(call, tx, id.str(), 201);
}

Reply list(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  const auto cluster = call.path_id<ClusterId>("id");
  if (tx.query(kClusterExists, {cluster}).empty()) refuse_not_found();
  const Page page = page_of(call);
  return page_reply(page, tx.query(kList, {cluster, page.after, page.fetch()}),
                    [&](const Row& row) { return to_json(tx, row, call.now); });
}

Reply get(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  return one(call, tx, call.path_id<EgressPoolId>("id").str(), 200);
}

Reply change(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  const std::string id = call.path_id<EgressPoolId>("id").str();
  const Rows locked = tx.query(kLock, {id});
  if (locked.empty()) refuse_not_found();
  require_match(call, locked[0].integer("revision"));
  const std::string cluster = locked[0].text("cluster_id");
  const Row old = tx.query(kGet, {id})[0];
  if (call.has("name")) check_name(call, tx, cluster, id);
  tx.query(kUpdate, {id, call.has("name") ? call.text("name") : old.text("name"),
                     everybody(call, old.boolean("everybody"))});
  if (call.has("members")) set_members(call, tx, id, cluster);
  if (call.has("organizations")) set_organizations(call, tx, id);
  mesh_changed(tx, require(ClusterId::parse(cluster)), Urgency::now, call.now);
  audit(tx, Actor::of(call.person), cluster, {"mesh.pool_changed", id}, *call.body, call.now);
  return one(call, tx, id, 200);
}

Reply remove(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  const std::string id = call.path_id<EgressPoolId>("id").str();
  const Rows locked = tx.query(kLock, {id});
  if (locked.empty()) refuse_not_found();
  const std::string cluster = locked[0].text("cluster_id");
  tx.query(kDelete, {id});
  mesh_changed(tx, require(ClusterId::parse(cluster)), Urgency::now, call.now);
  audit(tx, Actor::of(call.person), cluster, {"mesh.pool_removed", id}, {}, call.now);
  return no_content();
}

// Nothing but a name and whether it can be used: not how many stand behind it.
Reply of_organization(const Call& call, Tx& tx) {
  const auto id = call.path_id<OrganizationId>("id");
  if (!call.person.owner && !call.person.is_member(id)) refuse_not_found();
  tx.enter(Scope::of(id));
  const Page page = page_of(call);
  const SystemTime present = call.now - kSilentAfter;
  return page_reply(page, tx.query(kOfOrganization, {id, page.after, page.fetch(), present}),
                    [](const Row& row) {
                      boost::json::object out;
                      out["id"] = row.text("id");
                      out["name"] = row.text("name");
                      out["state"] = row.integer("usable") == 0 ? "unavailable" : "available";
                      return out;
                    });
}

std::vector<Field> fields(Need name) {
  return {text_field("name", 1, 64, name),
          {"everybody", FieldType::boolean, Need::optional},
          {"members", FieldType::texts, Need::optional, 0, kMembersMax},
          {"organizations", FieldType::texts, Need::optional, 0, kOrganizationsMax}};
}

}  // namespace

void add_egress_pool_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/clusters/{id}/egress-pools",
                    Who::owner,
                    "List egress pools with their members",
                    {{200, "EgressPoolList"}, 404},
                    list,
                    {},
                    {"limit", "cursor"}});
  routes.push_back(Route{"POST",
                         "/v1/clusters/{id}/egress-pools",
                         Who::owner,
                         "Create an egress pool",
                         {{201, "EgressPool"}, 404, 409},
                         create,
                         fields(Need::required)}
                       .creating());
  routes.push_back({"GET",
                    "/v1/egress-pools/{id}",
                    Who::owner,
                    "One egress pool",
                    {{200, "EgressPool"}, 404},
                    get});
  routes.push_back({"PATCH",
                    "/v1/egress-pools/{id}",
                    Who::owner,
                    "Change an egress pool; lists are replaced as a whole",
                    {{200, "EgressPool"}, 404, 409, 412, 428},
                    change,
                    fields(Need::optional)});
  routes.push_back(
      {"DELETE", "/v1/egress-pools/{id}", Who::owner, "Remove an egress pool", {204, 404}, remove});
  routes.push_back({"GET",
                    "/v1/organizations/{id}/egress-pools",
                    Who::person,
                    "Egress pools that an organization may use: names and states",
                    {{200, "UsableEgressPoolList"}, 404},
                    of_organization,
                    {},
                    {"limit", "cursor"}});
}

}  // namespace rap::cp
