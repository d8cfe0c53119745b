#include "fabric/routing/directory.hpp"

#include <algorithm>

namespace rap::routing {

namespace {

constexpr std::size_t kIdChars = 30;  // "nod_" and 26

}  // namespace

std::string_view Directory::id(NodeIndex node) const {
  if (node >= nodes_.size()) return "-";
  return std::string_view(ids_).substr(node * kIdChars, kIdChars);
}

NodeIndex Directory::find(std::string_view node_id) const {
  std::size_t low = 0;
  std::size_t high = nodes_.size();
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    const int order = id(static_cast<NodeIndex>(middle)).compare(node_id);
    if (order == 0) return static_cast<NodeIndex>(middle);
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return kNoNode;
}

std::optional<std::uint16_t> Directory::find_region(std::string_view name) const {
  const auto at = std::lower_bound(regions_.begin(), regions_.end(), name);
  if (at == regions_.end() || *at != name) return std::nullopt;
  return static_cast<std::uint16_t>(at - regions_.begin());
}

bool Directory::may_connect(NodeIndex from, NodeIndex to) const {
  if (dialable(to)) return true;
  const auto dialled = attached(to);
  return std::find(dialled.begin(), dialled.end(), from) != dialled.end();
}

OrganizationIndex Directory::find_organization(std::string_view id) const {
  if (id.empty()) return kPlatform;
  const auto at = std::lower_bound(organizations_.begin() + 1, organizations_.end(), id);
  if (at == organizations_.end() || *at != id) return kUnknownOrganization;
  return static_cast<OrganizationIndex>(at - organizations_.begin());
}

bool Directory::in_set(std::uint16_t set, OrganizationIndex organization) const {
  if (set == 0) return true;
  return std::binary_search(set_items_.begin() + sets_first_[set],
                            set_items_.begin() + sets_first_[set + 1u], organization);
}

bool Directory::serves_all_of(NodeIndex node, NodeIndex other) const {
  const std::uint16_t wide = nodes_[node].serves;
  const std::uint16_t narrow = nodes_[other].serves;
  if (wide == narrow || wide == 0) return true;
  if (narrow == 0) return false;
  const auto at = [&](std::uint32_t place) { return set_items_.begin() + place; };
  return std::includes(at(sets_first_[wide]), at(sets_first_[wide + 1u]), at(sets_first_[narrow]),
                       at(sets_first_[narrow + 1u]));
}

const Group* Directory::find_group(const std::vector<Group>& groups, std::string_view name) {
  const auto at =
      std::lower_bound(groups.begin(), groups.end(), name,
                       [](const Group& group, std::string_view want) { return group.name < want; });
  return at == groups.end() || at->name != name ? nullptr : &*at;
}

const OrganizationRule* Directory::rule(std::string_view organization_id) const {
  const auto& rules = policy_.organizations;  // compile() sorted them
  const auto at = std::lower_bound(rules.begin(), rules.end(), organization_id,
                                   [](const OrganizationRule& rule, std::string_view want) {
                                     return rule.organization_id < want;
                                   });
  return at == rules.end() || at->organization_id != organization_id ? nullptr : &*at;
}

Result<NodeIndex> Directory::check_peer(std::string_view spiffe_id, const Sha256Digest& key) const {
  const std::string before = "spiffe://" + cluster_id_ + "/node/";
  constexpr std::string_view kAfter = "/mesh";
  if (spiffe_id.size() < before.size() + kAfter.size() || !spiffe_id.starts_with(before) ||
      !spiffe_id.ends_with(kAfter)) {
    return fail(Errc::mismatch,
                "the certificate is not the mesh certificate of a node of this cluster");
  }
  spiffe_id.remove_prefix(before.size());
  spiffe_id.remove_suffix(kAfter.size());
  const NodeIndex node = find(spiffe_id);
  if (node == kNoNode) {
    return fail(Errc::not_found, "the node is not, or no longer, in the peer directory");
  }
  const auto* first = keys_.data() + nodes_[node].keys_first;
  if (std::find(first, first + nodes_[node].keys, key) == first + nodes_[node].keys) {
    return fail(Errc::mismatch, "the certificate's key is not the one in the peer directory");
  }
  return node;
}

std::vector<std::string> Directory::set_ids(std::uint16_t set) const {
  std::vector<std::string> out;
  for (std::uint32_t i = sets_first_[set]; i < sets_first_[set + 1u]; ++i) {
    out.push_back(organizations_[set_items_[i]]);
  }
  return out;
}

std::vector<GroupEntry> Directory::group_entries(const std::vector<Group>& groups) const {
  std::vector<GroupEntry> out;
  for (const Group& group : groups) {
    GroupEntry& entry = out.emplace_back();
    entry.name = group.name;
    for (const NodeIndex member : members(group)) entry.members.emplace_back(id(member));
    if (group.organizations != 0) entry.organizations = set_ids(group.organizations);
  }
  return out;
}

DirectoryDoc Directory::doc() const {
  DirectoryDoc out;
  out.cluster_id = cluster_id_;
  out.node_id = id(self_);
  out.authority = authority_;
  out.authority_term = authority_term_;
  out.version = version_;
  out.issued_at = issued_at_;
  out.expires_at = expires_at_;
  out.policy = policy_;
  out.services = group_entries(services_);
  out.egress_pools = group_entries(pools_);
  out.nodes.reserve(nodes_.size());
  for (NodeIndex i = 0; i < nodes_.size(); ++i) {
    const Node& node = nodes_[i];
    NodeEntry& entry = out.nodes.emplace_back();
    entry.node_id = id(i);
    entry.spiffe_id = mesh_spiffe(cluster_id_, entry.node_id);
    entry.keys.assign(keys_.begin() + node.keys_first, keys_.begin() + node.keys_first + node.keys);
    entry.roles = node.roles;
    entry.region = regions_[node.region];
    entry.endpoints.assign(endpoints(i).begin(), endpoints(i).end());
    for (const NodeIndex relay : attached(i)) entry.attached.emplace_back(id(relay));
    entry.owner = organizations_[node.owner];
    if (node.serves != 0) entry.serves = set_ids(node.serves);
    entry.trust = node.trust;
    if (node.load != kLoadUnknown) entry.load_permille = node.load;
    entry.version = versions_[node.version];
    entry.classes = node.classes;
    entry.avoid = node.avoid;
    entry.thin = thin(i);
    entry.draining = draining(i);
    entry.bootstrap = bootstrap(i);
  }
  return out;
}

}  // namespace rap::routing
