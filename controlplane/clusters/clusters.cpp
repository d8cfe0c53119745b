#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/clusters/keys.hpp"
#include "controlplane/clusters/routes.hpp"
#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/mesh/rounds.hpp"

namespace rap::cp {
namespace {

constexpr const char* kInsert = R"sql(
  insert into clusters (id, name, slug, region) values ($1, $2, $3, $4)
  returning id, name, slug, status, region, metadata, revision, created_at, updated_at
)sql";
constexpr const char* kGet = R"sql(
  select id, name, slug, status, region, metadata, revision, created_at, updated_at
  from clusters where id = $1
)sql";
constexpr const char* kLock = R"sql(
  select id, name, slug, status, region, metadata, revision, created_at, updated_at
  from clusters where id = $1 for update
)sql";
constexpr const char* kList = R"sql(
  select id, name, slug, status, region, metadata, revision, created_at, updated_at
  from clusters where id > $1 order by id limit $2
)sql";
constexpr const char* kUpdate = R"sql(
  update clusters set name = $2, region = $3, metadata = $4, revision = revision + 1,
         updated_at = now()
  where id = $1
  returning id, name, slug, status, region, metadata, revision, created_at, updated_at
)sql";
constexpr const char* kSlugTaken = "select 1 as one from clusters where slug = $1";
// Servers trust certificates of the new cluster's authority from now on.
constexpr const char* kAnnounce = "select pg_notify('rap_clusters', $1)";

boost::json::object to_json(const Row& row) {
  boost::json::object out;
  out["id"] = row.text("id");
  out["name"] = row.text("name");
  out["slug"] = row.text("slug");
  out["status"] = row.text("status");
  out["region"] = nullptr;
  if (const auto region = row.text_or_none("region")) out["region"] = *region;
  out["metadata"] = row.json("metadata");
  out["created_at"] = to_rfc3339(row.time("created_at"));
  out["updated_at"] = to_rfc3339(row.time("updated_at"));
  return out;
}

Reply create(const Call& call, Tx& tx) {
  const auto id = ClusterId::fresh();
  if (!tx.query(kSlugTaken, {call.text("slug")}).empty()) {
    refuse(Errc::conflict, "a cluster with this slug exists");
  }
  const Rows rows =
      tx.query(kInsert, {id, call.text("name"), call.text("slug"), call.text_or_none("region")});
  call.services->cluster_keys.create(tx, id, call.now);
  tx.query(kAnnounce, {id});
  boost::json::object detail;
  detail["name"] = call.text("name");
  audit(tx, Actor::of(call.person), id.str(), {"cluster.created", id.str()}, detail, call.now);
  return entity_reply(201, to_json(rows[0]), rows[0].integer("revision"));
}

Reply list(const Call& call, Tx& tx) {
  const Page page = page_of(call);
  return page_reply(page, tx.query(kList, {page.after, page.fetch()}), to_json);
}

Reply get(const Call& call, Tx& tx) {
  const Rows rows = tx.query(kGet, {call.path_id<ClusterId>("id")});
  if (rows.empty()) refuse_not_found();
  return entity_reply(200, to_json(rows[0]), rows[0].integer("revision"));
}

Reply update(const Call& call, Tx& tx) {
  const auto id = call.path_id<ClusterId>("id");
  const Rows before = tx.query(kLock, {id});
  if (before.empty()) refuse_not_found();
  require_match(call, before[0].integer("revision"));
  const Row& old = before[0];
  const auto region = call.has("region") ? call.text_or_none("region") : old.text_or_none("region");
  const auto metadata =
      call.has("metadata") ? call.object("metadata") : old.json("metadata").as_object();
  const Rows rows = tx.query(
      kUpdate, {id, call.has("name") ? call.text("name") : old.text("name"), region, metadata});
  mesh_changed(tx, id, Urgency::soon, call.now);
  audit(tx, Actor::of(call.person), id.str(), {"cluster.changed", id.str()}, *call.body, call.now);
  return entity_reply(200, to_json(rows[0]), rows[0].integer("revision"));
}

}  // namespace

void add_cluster_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/clusters",
                    Who::owner,
                    "List clusters",
                    {{200, "ClusterList"}},
                    list,
                    {},
                    {"limit", "cursor"}});
  routes.push_back(
      Route{"POST",
            "/v1/clusters",
            Who::owner,
            "Create a cluster with its own authority and keys",
            {{201, "Cluster"}, 409},
            create,
            {text_field("name"), {"slug", FieldType::slug}, optional_text("region", 60)}}
          .creating()
          .changing_trust());
  routes.push_back(
      {"GET", "/v1/clusters/{id}", Who::owner, "One cluster", {{200, "Cluster"}, 404}, get});
  routes.push_back({"PATCH",
                    "/v1/clusters/{id}",
                    Who::owner,
                    "Change a cluster",
                    {{200, "Cluster"}, 404, 412, 428},
                    update,
                    {text_field("name", 1, kNameMax, Need::optional),
                     optional_text("region", 60),
                     {"metadata", FieldType::object, Need::optional}}});
}

}  // namespace rap::cp
