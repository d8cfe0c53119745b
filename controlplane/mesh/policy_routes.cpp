// The mesh policy of a cluster: weights, sizes, distances, limits
// (docs/contracts/mesh-directory.md).
#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/mesh/rounds.hpp"
#include "controlplane/mesh/routes.hpp"
#include "fabric/routing/directory_doc.hpp"

namespace rap::cp {
namespace {

// Every member of a policy set, with 2,016 distances of regions.
constexpr std::size_t kPolicyMax = 256 * 1024;

constexpr const char* kClusterExists = "select 1 as one from clusters where id = $1";
constexpr const char* kMake =
    "insert into mesh_clusters (cluster_id) values ($1) on conflict (cluster_id) do nothing";
constexpr const char* kGet =
    "select policy, revision, updated_at from mesh_clusters where cluster_id = $1";
constexpr const char* kLock = "select revision from mesh_clusters where cluster_id = $1 for update";
constexpr const char* kSet = R"sql(
  update mesh_clusters set policy = $2, revision = revision + 1, updated_at = $3
  where cluster_id = $1
)sql";

Reply answer(Tx& tx, const ClusterId& cluster) {
  const Rows rows = tx.query(kGet, {cluster});
  boost::json::object body;
  body["cluster_id"] = cluster.str();
  // Before anybody set one.
  boost::json::value set = rows.empty() ? boost::json::object() : rows[0].json("policy");
  body["policy"] = boost::json::parse(
      routing::to_json(require(routing::parse_policy(boost::json::serialize(set)))));
  body["set"] = std::move(set);
  body["updated_at"] = nullptr;
  if (!rows.empty()) body["updated_at"] = to_rfc3339(rows[0].time("updated_at"));
  return entity_reply(200, body, rows.empty() ? 1 : rows[0].integer("revision"));
}

ClusterId cluster_of(const Call& call, Tx& tx) {
  auto cluster = call.path_id<ClusterId>("id");
  if (tx.query(kClusterExists, {cluster}).empty()) refuse_not_found();
  return cluster;
}

Reply get(const Call& call, Tx& tx) {
  return answer(tx, cluster_of(call, tx));
}

Reply set(const Call& call, Tx& tx) {
  const ClusterId cluster = cluster_of(call, tx);
  tx.query(kMake, {cluster});
  require_match(call, tx.query(kLock, {cluster})[0].integer("revision"));
  const std::string text = boost::json::serialize(call.object("policy"));
  if (text.size() > kPolicyMax) call.bad_field("policy", "at most 256 KiB");
  const auto parsed = routing::parse_policy(text);
  if (!parsed) call.bad_field("policy", parsed.error().detail);
  if (!parsed->organizations.empty()) {
    call.bad_field("policy", "rules of organizations are set at mesh-organizations");
  }
  tx.query(kSet, {cluster, call.object("policy"), call.now});
  mesh_changed(tx, cluster, Urgency::now, call.now);
  audit(tx, Actor::of(call.person), cluster.str(), {"mesh.policy_changed", cluster.str()},
        call.object("policy"), call.now);
  return answer(tx, cluster);
}

}  // namespace

void add_mesh_policy_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/clusters/{id}/mesh-policy",
                    Who::owner,
                    "How the cluster's mesh chooses: what was set, and with every default",
                    {{200, "MeshPolicy"}, 404},
                    get});
  routes.push_back(
      Route{"PUT",
            "/v1/clusters/{id}/mesh-policy",
            Who::owner,
            "Set the mesh policy as a whole; members that are absent have their defaults",
            {{200, "MeshPolicy"}, 404, 412, 428},
            set,
            {{"policy", FieldType::object}}}
          .changing_trust());
}

}  // namespace rap::cp
