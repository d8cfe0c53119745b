// A node in the mesh: what the owner says of it (route intents), what it says, what others are
// told.
#include <boost/json.hpp>

#include "base/json.hpp"
#include "controlplane/audit/audit.hpp"
#include "controlplane/director/director.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/mesh/names.hpp"
#include "controlplane/mesh/rounds.hpp"
#include "controlplane/mesh/routes.hpp"

namespace rap::cp {
namespace {

constexpr const char* kGet = R"sql(
  select m.node_id, m.cluster_id, n.name, s.region, coalesce(s.trust, 'normal') as trust,
         coalesce(s.avoid, 0) as avoid, coalesce(s.draining, false) as draining,
         coalesce(s.thin, false) as thin, coalesce(s.bootstrap, false) as bootstrap,
         coalesce(s.revision, 1) as revision, r.received_at, r.load_permille,
         coalesce(r.draining, false) as leaving
  from cluster_memberships m join nodes n on n.id = m.node_id
  left join mesh_nodes s on s.node_id = m.node_id
  left join mesh_reports r on r.node_id = m.node_id
  where m.node_id = $1
)sql";
constexpr const char* kKeys = R"sql(
  select purpose, spki_sha256, service_id, organization_id, certificate_serial, not_after
  from mesh_keys where node_id = $1 order by purpose, service_id, issued_at
)sql";
constexpr const char* kMake = R"sql(
  insert into mesh_nodes (node_id, cluster_id) values ($1, $2) on conflict (node_id) do nothing
)sql";
constexpr const char* kLock = "select revision from mesh_nodes where node_id = $1 for update";
constexpr const char* kSet = R"sql(
  update mesh_nodes set region = $2, trust = $3, avoid = $4, draining = $5, thin = $6,
         bootstrap = $7, revision = revision + 1
  where node_id = $1
)sql";

boost::json::array keys_of(Tx& tx, const std::string& node) {
  boost::json::array out;
  for (const Row& row : tx.query(kKeys, {node})) {
    boost::json::object key;
    key["purpose"] = row.text("purpose");
    key["fingerprint"] = to_hex(row.bytes("spki_sha256"));
    key["service_id"] = nullptr;
    key["organization_id"] = nullptr;
    for (const char* name : {"service_id", "organization_id"}) {
      if (const auto id = row.text_or_none(name)) key[name] = *id;
    }
    key["certificate_serial"] = row.text("certificate_serial");
    key["not_after"] = to_rfc3339(row.time("not_after"));
    out.push_back(std::move(key));
  }
  return out;
}

boost::json::array list(const std::vector<std::string>& texts) {
  return boost::json::array(texts.begin(), texts.end());
}

// What directories say of it; null for who has no place in the mesh.
boost::json::value told(const MeshNode* node) {
  if (node == nullptr) return nullptr;
  boost::json::array roles;
  for (std::size_t i = 0; i < routing::kRoles; ++i) {
    if (node->is(static_cast<routing::Role>(i))) {
      roles.emplace_back(std::string(routing::name(static_cast<routing::Role>(i))));
    }
  }
  boost::json::object out;
  out["roles"] = std::move(roles);
  out["region"] = node->entry.region;
  out["endpoints"] = list(node->entry.endpoints);
  out["attached"] = list(node->entry.attached);
  out["owner"] = nullptr;
  if (!node->entry.owner.empty()) out["owner"] = node->entry.owner;
  out["serves"] = nullptr;
  if (node->entry.serves) out["serves"] = list(*node->entry.serves);
  out["load_permille"] = nullptr;
  if (node->entry.load_permille) out["load_permille"] = *node->entry.load_permille;
  out["draining"] = node->entry.draining;
  return out;
}

Reply answer(const Call& call, Tx& tx, const NodeId& id) {
  const Rows rows = tx.query(kGet, {id});
  if (rows.empty()) refuse_not_found();
  const Row& row = rows[0];
  boost::json::object out;
  for (const char* key : {"node_id", "cluster_id", "name", "trust"}) out[key] = row.text(key);
  out["region"] = nullptr;
  if (const auto region = row.text_or_none("region")) out["region"] = *region;
  out["avoid"] = row.integer("avoid");
  for (const char* key : {"draining", "thin", "bootstrap"}) out[key] = row.boolean(key);
  out["reported_at"] = nullptr;
  if (const auto at = row.time_or_none("received_at")) out["reported_at"] = to_rfc3339(*at);
  out["load_permille"] = nullptr;
  if (const auto load = row.integer_or_none("load_permille")) out["load_permille"] = *load;
  out["leaving"] = row.boolean("leaving");
  out["keys"] = keys_of(tx, id.str());
  const auto view = call.services->director.mesh().get(
      tx, require(ClusterId::parse(row.text("cluster_id"))), call.now);
  out["told"] = told(view->find(id.str()));
  return entity_reply(200, out, row.integer("revision"));
}

Reply get(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  return answer(call, tx, call.path_id<NodeId>("id"));
}

bool flag(const Call& call, std::string_view name, const Row& old) {
  return call.has(name) ? call.body->at(name).as_bool() : old.boolean(name);
}

Reply change(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  const auto id = call.path_id<NodeId>("id");
  const Rows rows = tx.query(kGet, {id});
  if (rows.empty()) refuse_not_found();
  const auto cluster = require(ClusterId::parse(rows[0].text("cluster_id")));
  tx.query(kMake, {id, cluster});
  require_match(call, tx.query(kLock, {id})[0].integer("revision"));
  const Row old = tx.query(kGet, {id})[0];
  // region: null gives the node the cluster's again; absent leaves it.
  const auto region =
      call.body->contains("region") ? call.text_or_none("region") : old.text_or_none("region");
  if (region && !is_directory_name(*region)) call.bad_field("region", "1 to 64 of A-Za-z0-9._+-");
  const std::string trust = call.text_or_none("trust").value_or(old.text("trust"));
  if (trust != "quarantined" && trust != "low" && trust != "normal" && trust != "high") {
    call.bad_field("trust", "is quarantined, low, normal or high");
  }
  tx.query(kSet,
           {id, region, trust, call.integer_or("avoid", old.integer("avoid")),
            flag(call, "draining", old), flag(call, "thin", old), flag(call, "bootstrap", old)});
  mesh_changed(tx, cluster, Urgency::now, call.now);
  audit(tx, Actor::of(call.person), cluster.str(), {"mesh.node_changed", id.str()}, *call.body,
        call.now);
  return answer(call, tx, id);
}

}  // namespace

void add_mesh_node_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/nodes/{id}/mesh",
                    Who::owner,
                    "A node in the mesh: intents, keys, and what other nodes are told of it",
                    {{200, "MeshNode"}, 404},
                    get});
  routes.push_back(
      Route{"PATCH",
            "/v1/nodes/{id}/mesh",
            Who::owner,
            "Set intents of a node: avoid it, drain it, trust it less, say where it is",
            {{200, "MeshNode"}, 404, 412, 428},
            change,
            {optional_text("region", 64),
             optional_text("trust", 20),
             {"avoid", FieldType::integer, Need::optional, 0, 1000},
             {"draining", FieldType::boolean, Need::optional},
             {"thin", FieldType::boolean, Need::optional},
             {"bootstrap", FieldType::boolean, Need::optional}}}
          .changing_trust());
}

}  // namespace rap::cp
