// Route intents and limits of an organization in a cluster: regions, own relays, trust, hops;
// streams and bytes that each entry and relay lets it have. The platform's owner sets them.
#include <boost/json.hpp>

#include "base/json.hpp"
#include "controlplane/audit/audit.hpp"
#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/mesh/names.hpp"
#include "controlplane/mesh/rounds.hpp"
#include "controlplane/mesh/routes.hpp"
#include "fabric/routing/policy.hpp"

namespace rap::cp {
namespace {

constexpr std::int64_t kRegionsMax = 64;  // of a directory

constexpr const char* kExists = R"sql(
  select exists (select from clusters where id = $1) and
         exists (select from organizations where id = $2) as there
)sql";
constexpr const char* kClusterExists = "select 1 as one from clusters where id = $1";
constexpr const char* kGet = R"sql(
  select m.organization_id, m.cluster_id, m.regions, m.trust_min, m.relays_max, m.own_relays_only,
         m.streams_max, m.kbytes_per_s, m.revision, m.updated_at, o.name
  from mesh_organizations m join organizations o on o.id = m.organization_id
  where m.cluster_id = $1 and m.organization_id = $2
)sql";
constexpr const char* kList = R"sql(
  select m.organization_id, m.cluster_id, m.regions, m.trust_min, m.relays_max, m.own_relays_only,
         m.streams_max, m.kbytes_per_s, m.revision, m.updated_at, o.name
  from mesh_organizations m join organizations o on o.id = m.organization_id
  where m.cluster_id = $1 and m.organization_id > $2 order by m.organization_id limit $3
)sql";
constexpr const char* kLock = R"sql(
  select revision from mesh_organizations where cluster_id = $1 and organization_id = $2 for update
)sql";
constexpr const char* kSet = R"sql(
  insert into mesh_organizations
    (cluster_id, organization_id, regions, trust_min, relays_max, own_relays_only, streams_max,
     kbytes_per_s, updated_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
  on conflict (cluster_id, organization_id) do update set
    regions = excluded.regions, trust_min = excluded.trust_min, relays_max = excluded.relays_max,
    own_relays_only = excluded.own_relays_only, streams_max = excluded.streams_max,
    kbytes_per_s = excluded.kbytes_per_s, updated_at = excluded.updated_at,
    revision = mesh_organizations.revision + 1
)sql";
constexpr const char* kRemove =
    "delete from mesh_organizations where cluster_id = $1 and organization_id = $2";

boost::json::object to_json(const Row& row) {
  boost::json::object out;
  for (const char* key : {"organization_id", "cluster_id", "name", "trust_min"}) {
    out[key] = row.text(key);
  }
  out["regions"] = row.json("regions");
  out["own_relays_only"] = row.boolean("own_relays_only");
  for (const char* key : {"relays_max", "streams_max", "kbytes_per_s"}) {
    out[key] = row.integer(key);
  }
  out["updated_at"] = to_rfc3339(row.time("updated_at"));
  return out;
}

struct Place {
  ClusterId cluster;
  OrganizationId organization;
};

Place place_of(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  Place out{call.path_id<ClusterId>("id"), call.path_id<OrganizationId>("organization_id")};
  if (!tx.query(kExists, {out.cluster, out.organization})[0].boolean("there")) refuse_not_found();
  return out;
}

Reply one(Tx& tx, const Place& place, unsigned status) {
  const Rows rows = tx.query(kGet, {place.cluster, place.organization});
  if (rows.empty()) refuse_not_found();
  return entity_reply(status, to_json(rows[0]), rows[0].integer("revision"));
}

Reply get(const Call& call, Tx& tx) {
  return one(tx, place_of(call, tx), 200);
}

Reply list(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  const auto cluster = call.path_id<ClusterId>("id");
  if (tx.query(kClusterExists, {cluster}).empty()) refuse_not_found();
  const Page page = page_of(call);
  return page_reply(page, tx.query(kList, {cluster, page.after, page.fetch()}), to_json,
                    "organization_id");
}

Reply set(const Call& call, Tx& tx) {
  const Place place = place_of(call, tx);
  const Rows before = tx.query(kLock, {place.cluster, place.organization});
  if (!before.empty()) require_match(call, before[0].integer("revision"));
  for (const auto& region : call.array("regions")) {
    if (!is_directory_name(region.as_string())) {
      call.bad_field("regions", "1 to 64 of A-Za-z0-9._+- each");
    }
  }
  const std::string trust = call.text_or_none("trust_min").value_or("low");
  if (trust != "low" && trust != "normal" && trust != "high") {
    call.bad_field("trust_min", "is low, normal or high");
  }
  const bool own = call.has("own_relays_only") && call.body->at("own_relays_only").as_bool();
  tx.query(kSet, {place.cluster, place.organization, boost::json::serialize(call.array("regions")),
                  trust, call.integer_or("relays_max", routing::kRelaysMax), own,
                  call.integer_or("streams_max", 0), call.integer_or("kbytes_per_s", 0), call.now});
  mesh_changed(tx, place.cluster, Urgency::now, call.now);
  boost::json::object detail = *call.body;
  detail["organization_id"] = place.organization.str();
  audit(tx, Actor::of(call.person), place.cluster.str(),
        {"mesh.organization_changed", place.organization.str()}, detail, call.now);
  return one(tx, place, before.empty() ? 201 : 200);
}

Reply remove(const Call& call, Tx& tx) {
  const Place place = place_of(call, tx);
  if (tx.query(kRemove, {place.cluster, place.organization}).affected() == 0) refuse_not_found();
  mesh_changed(tx, place.cluster, Urgency::now, call.now);
  audit(tx, Actor::of(call.person), place.cluster.str(),
        {"mesh.organization_removed", place.organization.str()}, {}, call.now);
  return no_content();
}

}  // namespace

void add_mesh_organization_routes(std::vector<Route>& routes) {
  constexpr std::string_view kOne = "/v1/clusters/{id}/mesh-organizations/{organization_id}";
  routes.push_back({"GET",
                    "/v1/clusters/{id}/mesh-organizations",
                    Who::owner,
                    "Organizations with rules and limits of their own in the mesh",
                    {{200, "MeshOrganizationList"}, 404},
                    list,
                    {},
                    {"limit", "cursor"}});
  routes.push_back(
      {"GET", kOne, Who::owner, "Rules and limits of one", {{200, "MeshOrganization"}, 404}, get});
  routes.push_back(Route{
      "PUT",
      kOne,
      Who::owner,
      "Set where an organization's streams may go and how much they may take; as a whole",
      {{200, "MeshOrganization"}, {201, "MeshOrganization"}, 404, 412, 428},
      set,
      {{"regions", FieldType::texts, Need::optional, 0, kRegionsMax},
       optional_text("trust_min", 20),
       {"relays_max", FieldType::integer, Need::optional, 0, routing::kRelaysMax},
       {"own_relays_only", FieldType::boolean, Need::optional},
       {"streams_max", FieldType::integer, Need::optional, 0, routing::kOrganizationStreamsMax},
       {"kbytes_per_s", FieldType::integer, Need::optional, 0, routing::kOrganizationKbytesMax}}}
                       .changing_trust());
  routes.push_back({"DELETE", kOne, Who::owner, "Let the defaults hold again", {204, 404}, remove});
}

}  // namespace rap::cp
