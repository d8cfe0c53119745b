#include "controlplane/mesh/view.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <boost/json.hpp>

#include "base/log.hpp"
#include "controlplane/mesh/names.hpp"
#include "controlplane/roles/rules.hpp"
#include "fabric/routing/flat_map.hpp"

namespace rap::cp {
namespace {

using routing::mask;
using routing::NodeEntry;
using routing::Role;

constexpr const char* kNodes = R"sql(
  select m.node_id, coalesce(s.region, c.region) as region, s.trust, s.avoid, s.draining, s.thin,
         s.bootstrap, h.agent_version, r.endpoints, r.attached, r.told_load,
         r.draining as leaving
  from cluster_memberships m
  join clusters c on c.id = m.cluster_id
  join mesh_nodes s on s.node_id = m.node_id
  left join node_heartbeat_latest h on h.node_id = m.node_id
  left join mesh_reports r on r.node_id = m.node_id
  where m.cluster_id = $1 and m.membership_status = 'active' and s.trust <> 'quarantined'
  order by m.node_id collate "C"
)sql";
constexpr const char* kKeys = R"sql(
  select node_id, spki_sha256 from mesh_keys
  where cluster_id = $1 and purpose = 'mesh' and not_after > $2
  order by node_id, issued_at
)sql";
constexpr const char* kAssignments = R"sql(
  select node_id, role, organization_id, policy from node_role_assignments
  where cluster_id = $1 and status = 'active' order by node_id, id
)sql";
constexpr const char* kServices = R"sql(
  select s.id, s.node_id, s.organization_id from mesh_services s
  where s.cluster_id = $1 and exists (
    select from mesh_keys k where k.service_id = s.id and k.not_after > $2)
  order by s.node_id, s.organization_id
)sql";
constexpr const char* kPools = R"sql(
  select p.name, p.everybody,
         coalesce((select jsonb_agg(m.node_id order by m.node_id) from egress_pool_members m
                   where m.pool_id = p.id), '[]') as members,
         coalesce((select jsonb_agg(o.organization_id order by o.organization_id)
                   from egress_pool_organizations o where o.pool_id = p.id), '[]') as organizations
  from egress_pools p where p.cluster_id = $1 order by p.name
)sql";
constexpr const char* kPolicy = "select policy from mesh_clusters where cluster_id = $1";
constexpr const char* kRules = R"sql(
  select organization_id, regions, trust_min, relays_max, own_relays_only, streams_max, kbytes_per_s
  from mesh_organizations where cluster_id = $1 order by organization_id limit 4096
)sql";
constexpr const char* kAuthority = "select term, state from authority";

std::vector<std::string> texts(const boost::json::value& value) {
  std::vector<std::string> out;
  for (const auto& item : value.as_array()) out.emplace_back(item.as_string());
  return out;
}

// Words of the database and of routing are the same; the migration's checks hold them to it.
template <typename Enum, std::size_t N>
Enum word(std::string_view text) {
  for (std::size_t i = 0; i < N; ++i) {
    if (routing::name(static_cast<Enum>(i)) == text) return static_cast<Enum>(i);
  }
  throw DatabaseFault("no such word of routing: " + std::string(text));
}
routing::Trust trust_of(std::string_view text) {
  return word<routing::Trust, routing::kTrusts>(text);
}

void add(std::optional<std::set<std::string>>& all, const std::string& organization) {
  if (organization.empty()) {
    all.reset();
  } else if (all) {
    all->insert(organization);
  }
}

bool is_node_of_paths(const std::string& role) {
  return role == "relay-node" || role == "entry-node";
}

NodeEntry entry_of(const Row& row, const std::string& cluster) {
  NodeEntry out;
  out.node_id = row.text("node_id");
  out.spiffe_id = routing::mesh_spiffe(cluster, out.node_id);
  out.region = directory_name(row.text_or_none("region").value_or(""), "default");
  out.version = directory_name(row.text_or_none("agent_version").value_or(""), "unknown");
  out.trust = trust_of(row.text("trust"));
  out.avoid = static_cast<std::uint16_t>(row.integer("avoid"));
  out.thin = row.boolean("thin");
  out.draining = row.boolean("draining");
  if (!row.text_or_none("endpoints")) return out;
  out.draining = out.draining || row.boolean("leaving");
  out.endpoints = texts(row.json("endpoints"));
  out.attached = texts(row.json("attached"));
  if (const auto load = row.integer_or_none("told_load")) {
    out.load_permille = static_cast<std::uint16_t>(*load);
  }
  return out;
}

// `endpoints` of an assignment's configuration stand for what the node would say: behind a
// forwarded port it does not know its own address.
void configured_endpoints(const boost::json::object& policy, NodeEntry& entry) {
  const auto* config = policy.if_contains("config");
  if (config == nullptr || !config->is_object()) return;
  const auto* list = config->get_object().if_contains("endpoints");
  if (list == nullptr || !list->is_array()) return;
  std::vector<std::string> found;
  for (const auto& item : list->get_array()) {
    if (!item.is_string() || !is_mesh_endpoint(item.get_string())) return;
    found.emplace_back(item.get_string());
  }
  if (!found.empty() && found.size() <= routing::kEndpointsMax) entry.endpoints = std::move(found);
}

using Places = std::map<std::string, std::size_t>;

void read_assignments(Tx& tx, const ClusterId& cluster, const Places& places, MeshView& view) {
  std::map<std::string, std::vector<MeshAssignment>> of;
  for (const Row& row : tx.query(kAssignments, {cluster})) {
    const auto at = places.find(row.text("node_id"));
    if (at == places.end()) continue;
    of[at->first].push_back({row.text("role"), row.text_or_none("organization_id").value_or("")});
    configured_endpoints(row.json("policy").as_object(), view.nodes[at->second].entry);
  }
  for (const auto& [node, index] : places) {
    MeshPlace place = place_of(of[node]);
    NodeEntry& entry = view.nodes[index].entry;
    entry.roles = place.roles;
    entry.owner = std::move(place.owner);
    entry.serves = std::move(place.serves);
  }
}

void read_services(Tx& tx, const ClusterId& cluster, const Places& places, SystemTime now,
                   MeshView& view) {
  for (const Row& row : tx.query(kServices, {cluster, now})) {
    const auto at = places.find(row.text("node_id"));
    if (at == places.end()) continue;
    MeshNode& node = view.nodes[at->second];
    const std::string organization = row.text("organization_id");
    // Its role was taken: the key is in force until it ends, the name is not.
    if (!node.is(Role::service) && !node.is(Role::egress)) continue;
    if (!node.serves(organization)) continue;
    node.services.push_back({row.text("id"), organization});
  }
}

void read_pools(Tx& tx, const ClusterId& cluster, const Places& places, MeshView& view) {
  for (const Row& row : tx.query(kPools, {cluster})) {
    routing::GroupEntry pool;
    pool.name = row.text("name");
    for (std::string& member : texts(row.json("members"))) {
      if (places.contains(member)) pool.members.push_back(std::move(member));
    }
    if (!row.boolean("everybody")) pool.organizations = texts(row.json("organizations"));
    view.pools.push_back(std::move(pool));
  }
}

void read_policy_of(Tx& tx, const ClusterId& cluster, MeshView& view) {
  const Rows rows = tx.query(kPolicy, {cluster});
  if (!rows.empty()) {
    auto policy = routing::parse_policy(rows[0].text("policy"));
    if (policy) {
      view.policy = std::move(*policy);
    } else {
      log::error("mesh policy does not parse; the defaults hold",
                 {{"cluster", cluster.str()}, {"detail", policy.error().detail}});
    }
  }
  view.policy.organizations.clear();
  for (const Row& row : tx.query(kRules, {cluster})) {
    routing::OrganizationRule rule;
    rule.organization_id = row.text("organization_id");
    rule.regions = texts(row.json("regions"));
    rule.trust_min = trust_of(row.text("trust_min"));
    rule.relays_max = static_cast<std::uint8_t>(row.integer("relays_max"));
    rule.own_relays_only = row.boolean("own_relays_only");
    rule.streams_max = static_cast<std::uint32_t>(row.integer("streams_max"));
    rule.kbytes_per_s = static_cast<std::uint32_t>(row.integer("kbytes_per_s"));
    view.policy.organizations.push_back(std::move(rule));
  }
}

void put(std::string& out, std::string_view text) {
  out += text;
  out += '\n';
}
void put(std::string& out, const std::vector<std::string>& list) {
  put(out, std::to_string(list.size()));
  for (const std::string& text : list) put(out, text);
}

Sha256Digest plain_hash(const NodeEntry& entry) {
  std::string text;
  for (const std::string& part : {entry.node_id, entry.region, entry.owner, entry.version}) {
    put(text, part);
  }
  for (const Sha256Digest& key : entry.keys) put(text, as_text(key));
  put(text, entry.endpoints);
  put(text, entry.serves ? "some" : "all");
  put(text, entry.serves.value_or(std::vector<std::string>{}));
  const int flags = (entry.thin ? 1 : 0) | (entry.draining ? 2 : 0) | (entry.bootstrap ? 4 : 0);
  for (const int number : {int{entry.roles}, static_cast<int>(entry.trust), int{entry.classes},
                           int{entry.avoid}, flags}) {
    put(text, std::to_string(number));
  }
  return sha256(text);
}

Sha256Digest full_hash(const MeshNode& node) {
  std::string text(as_text(node.plain_hash));
  put(text, std::to_string(node.entry.load_permille.value_or(routing::kLoadMax + 1)));
  put(text, node.entry.attached);
  for (const MeshService& service : node.services) put(text, service.id + service.organization);
  return sha256(text);
}

// One organization's rule as it would be written.
Sha256Digest rule_hash(const routing::OrganizationRule& rule) {
  routing::Policy one;
  one.organizations.push_back(rule);
  return sha256(routing::to_json(one));
}

void hash_policy(MeshView& view) {
  routing::DirectoryDoc rest;
  rest.cluster_id = view.cluster_id;
  rest.authority = view.authority;
  rest.authority_term = view.authority_term;
  rest.egress_pools = view.pools;
  rest.policy = view.policy;
  rest.policy.organizations.clear();
  view.rest_hash = sha256(routing::to_json(rest));
  Sha256 all;
  for (const routing::OrganizationRule& rule : view.policy.organizations) {
    view.rule_hashes.push_back(rule_hash(rule));
    all.update(view.rule_hashes.back());
  }
  view.rules_hash = all.finish();
}

}  // namespace

bool MeshNode::carries() const {
  return is(Role::relay_node) || is(Role::entry_node);
}
bool MeshNode::serves(const std::string& organization) const {
  return !entry.serves || std::ranges::find(*entry.serves, organization) != entry.serves->end();
}

const MeshNode* MeshView::find(const std::string& node_id) const {
  const auto at = std::ranges::lower_bound(
      nodes, node_id, {},
      [](const MeshNode& node) -> const std::string& { return node.entry.node_id; });
  return at == nodes.end() || at->entry.node_id != node_id ? nullptr : &*at;
}

MeshPlace place_of(const std::vector<MeshAssignment>& assignments) {
  using Organizations = std::optional<std::set<std::string>>;  // nullopt: anybody
  Organizations carry{std::in_place}, all{std::in_place};
  MeshPlace out;
  out.roles = mask(Role::core_mesh);
  for (const MeshAssignment& assignment : assignments) {
    const std::string& role = assignment.role;
    if (role == "core-mesh") continue;
    add(all, assignment.organization);
    if (is_node_of_paths(role)) {
      add(carry, assignment.organization);
      out.roles |= mask(role == "relay-node" ? Role::relay_node : Role::entry_node);
    } else if (role == "vpn-exit" || role == "vpn-connector") {
      out.roles |= mask(Role::egress);
    } else if (protocol_of_role(role)) {
      out.roles |= mask(Role::service);
    }
  }
  constexpr routing::RoleMask kPaths = mask(Role::relay_node) | mask(Role::entry_node);
  if ((out.roles & kPaths) != 0 && carry != all) {
    out.roles = static_cast<routing::RoleMask>(out.roles & ~kPaths);
  }
  if (!all || all->empty()) return out;
  out.serves.emplace(all->begin(), all->end());
  if (out.serves->size() > routing::kServesMax) out.serves->resize(routing::kServesMax);
  if (all->size() == 1) out.owner = *all->begin();
  return out;
}

void finish_view(MeshView& view) {
  hash_policy(view);
  for (MeshNode& node : view.nodes) {
    node.plain_hash = plain_hash(node.entry);
    node.full_hash = full_hash(node);
    const Sha256Digest chance = sha256(node.entry.node_id);
    for (std::size_t i = 0; i < 8; ++i) node.chance = node.chance << 8 | chance[i];
    for (std::size_t i = 0; i < kMeshCircles; ++i) {
      node.places[i] = routing::mix64(node.chance ^ (i + 1));
    }
  }
  for (std::uint32_t i = 0; i < view.nodes.size(); ++i) {
    if (view.nodes[i].carries()) view.carriers.push_back(i);
  }
  for (std::size_t c = 0; c < kMeshCircles; ++c) {
    for (std::uint32_t i = 0; i < view.nodes.size(); ++i) {
      if (!view.nodes[i].carries()) view.circles[c].push_back(i);
    }
    std::ranges::sort(view.circles[c], [&](std::uint32_t a, std::uint32_t b) {
      const MeshNode &x = view.nodes[a], &y = view.nodes[b];
      if (x.entry.owner != y.entry.owner) return x.entry.owner < y.entry.owner;
      return x.places[c] < y.places[c];
    });
  }
}

MeshView load_mesh(Tx& tx, const ClusterId& cluster, SystemTime now) {
  MeshView view;
  view.cluster_id = cluster.str();
  const Row authority = tx.query(kAuthority)[0];
  view.authority_term = authority.integer("term");
  view.authority =
      word<routing::AuthorityState, routing::kAuthorityStates>(authority.text("state"));
  std::map<std::string, std::vector<Sha256Digest>> keys;
  for (const Row& row : tx.query(kKeys, {cluster, now})) {
    const Bytes key = row.bytes("spki_sha256");
    auto& of_node = keys[row.text("node_id")];
    if (key.size() != 32 || of_node.size() == routing::kKeysMax) continue;
    std::ranges::copy(key, of_node.emplace_back().begin());
  }
  Places places;
  std::size_t too_many = 0;
  for (const Row& row : tx.query(kNodes, {cluster})) {
    const auto found = keys.find(row.text("node_id"));
    if (found == keys.end()) continue;
    if (view.nodes.size() == routing::kNodesMax) {
      ++too_many;
      continue;
    }
    places.emplace(found->first, view.nodes.size());
    MeshNode& node = view.nodes.emplace_back();
    node.entry = entry_of(row, view.cluster_id);
    node.entry.keys = std::move(found->second);
    node.entry.bootstrap = row.boolean("bootstrap");
  }
  if (too_many > 0) {
    log::error("a cluster has more nodes than a directory",
               {{"cluster", view.cluster_id}, {"left_out", too_many}});
  }
  read_assignments(tx, cluster, places, view);
  // Only who can be dialled is a last resort.
  for (MeshNode& node : view.nodes) {
    if (node.entry.endpoints.empty()) node.entry.bootstrap = false;
  }
  read_services(tx, cluster, places, now, view);
  read_pools(tx, cluster, places, view);
  read_policy_of(tx, cluster, view);
  finish_view(view);
  return view;
}

}  // namespace rap::cp
