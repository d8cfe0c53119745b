#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/clusters/routes.hpp"
#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"

namespace rap::cp {
namespace {

// Data center, site, rack, ...: deeper trees are a mistake, and this bounds the walk.
constexpr int kDepthMax = 16;

constexpr const char* kClusterExists = "select 1 as one from clusters where id = $1";
constexpr const char* kInsert = R"sql(
  insert into node_groups (id, cluster_id, parent_id, name) values ($1, $2, $3, $4)
)sql";
constexpr const char* kGet = R"sql(
  select id, cluster_id, parent_id, name, revision, created_at from node_groups where id = $1
)sql";
constexpr const char* kList = R"sql(
  select id, cluster_id, parent_id, name, revision, created_at from node_groups
  where cluster_id = $1 and id > $2 order by id limit $3
)sql";
// One tree at a time is changed: two moves together could make a circle.
constexpr const char* kLockTree = "select id from node_groups where cluster_id = $1 for update";
constexpr const char* kUpdate = R"sql(
  update node_groups set parent_id = $2, name = $3, revision = revision + 1 where id = $1
)sql";
constexpr const char* kBusy = R"sql(
  select 1 as one from node_groups where parent_id = $1
  union all select 1 from cluster_memberships where group_id = $1 limit 1
)sql";
constexpr const char* kDelete = "delete from node_groups where id = $1";
constexpr const char* kNameTaken = R"sql(
  select 1 as one from node_groups
  where cluster_id = $1 and coalesce(parent_id, '') = coalesce($2, '') and name = $3 and id <> $4
)sql";

boost::json::object to_json(const Row& row) {
  boost::json::object out;
  for (const char* key : {"id", "cluster_id", "name"}) out[key] = row.text(key);
  out["parent_id"] = nullptr;
  if (const auto parent = row.text_or_none("parent_id")) out["parent_id"] = *parent;
  out["created_at"] = to_rfc3339(row.time("created_at"));
  return out;
}

// The parent must be of the same cluster, not the group itself or below it, and not too deep.
void check_parent(const Call& call, Tx& tx, const std::string& cluster,
                  const std::optional<std::string>& parent, std::string_view self) {
  std::optional<std::string> at = parent;
  for (int depth = 1; at; ++depth) {
    if (*at == self) call.bad_field("parent_id", "is the group itself or one below it");
    if (depth > kDepthMax) call.bad_field("parent_id", "lies more than 16 levels deep");
    const Rows rows = tx.query(kGet, {*at});
    if (rows.empty() || rows[0].text("cluster_id") != cluster) {
      call.bad_field("parent_id", "is no group of this cluster");
    }
    at = rows[0].text_or_none("parent_id");
  }
}

void check_name(Tx& tx, const std::string& cluster, const std::optional<std::string>& parent,
                const std::string& name, const std::string& self) {
  if (!tx.query(kNameTaken, {cluster, parent, name, self}).empty()) {
    refuse(Errc::conflict, "a group of this name is there already");
  }
}

Reply create(const Call& call, Tx& tx) {
  const auto cluster = call.path_id<ClusterId>("id");
  if (tx.query(kClusterExists, {cluster}).empty()) refuse_not_found();
  const auto parent = call.text_or_none("parent_id");
  check_parent(call, tx, cluster.str(), parent, "");
  check_name(tx, cluster.str(), parent, call.text("name"), "");
  const auto id = NodeGroupId::fresh();
  tx.query(kInsert, {id, cluster, parent, call.text("name")});
  audit(tx, Actor::of(call.person), cluster.str(), {"node_group.created", id.str()}, *call.body,
        call.now);
  const Rows rows = tx.query(kGet, {id});
  return entity_reply(201, to_json(rows[0]), rows[0].integer("revision"));
}

Reply list(const Call& call, Tx& tx) {
  const auto cluster = call.path_id<ClusterId>("id");
  if (tx.query(kClusterExists, {cluster}).empty()) refuse_not_found();
  const Page page = page_of(call);
  return page_reply(page, tx.query(kList, {cluster, page.after, page.fetch()}), to_json);
}

Reply update(const Call& call, Tx& tx) {
  const auto id = call.path_id<NodeGroupId>("id");
  const Rows before = tx.query(kGet, {id});
  if (before.empty()) refuse_not_found();
  const std::string cluster = before[0].text("cluster_id");
  tx.query(kLockTree, {cluster});
  const Row old = tx.query(kGet, {id})[0];
  require_match(call, old.integer("revision"));
  // parent_id: null moves the group to the top; absent leaves it where it is.
  const bool moves = call.body->contains("parent_id");
  const auto parent = moves ? call.text_or_none("parent_id") : old.text_or_none("parent_id");
  const std::string name = call.has("name") ? call.text("name") : old.text("name");
  check_parent(call, tx, cluster, parent, id.str());
  check_name(tx, cluster, parent, name, id.str());
  tx.query(kUpdate, {id, parent, name});
  audit(tx, Actor::of(call.person), cluster, {"node_group.changed", id.str()}, *call.body,
        call.now);
  const Rows rows = tx.query(kGet, {id});
  return entity_reply(200, to_json(rows[0]), rows[0].integer("revision"));
}

Reply remove(const Call& call, Tx& tx) {
  const auto id = call.path_id<NodeGroupId>("id");
  const Rows rows = tx.query(kGet, {id});
  if (rows.empty()) refuse_not_found();
  if (!tx.query(kBusy, {id}).empty()) {
    refuse(Errc::conflict, "the group is not empty: move its nodes and groups first");
  }
  tx.query(kDelete, {id});
  audit(tx, Actor::of(call.person), rows[0].text("cluster_id"), {"node_group.removed", id.str()},
        {}, call.now);
  return no_content();
}

}  // namespace

void add_node_group_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/clusters/{id}/node-groups",
                    Who::owner,
                    "List node groups",
                    {{200, "NodeGroupList"}, 404},
                    list,
                    {},
                    {"limit", "cursor"}});
  routes.push_back(Route{"POST",
                         "/v1/clusters/{id}/node-groups",
                         Who::owner,
                         "Create a node group",
                         {{201, "NodeGroup"}, 404, 409},
                         create,
                         {text_field("name"), optional_text("parent_id", 40)}}
                       .creating());
  routes.push_back(
      {"PATCH",
       "/v1/node-groups/{id}",
       Who::owner,
       "Rename or move a node group",
       {{200, "NodeGroup"}, 404, 409, 412, 428},
       update,
       {text_field("name", 1, kNameMax, Need::optional), optional_text("parent_id", 40)}});
  routes.push_back({"DELETE",
                    "/v1/node-groups/{id}",
                    Who::owner,
                    "Remove an empty node group",
                    {204, 404, 409},
                    remove});
}

}  // namespace rap::cp
