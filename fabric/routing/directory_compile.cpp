// From the values of a DirectoryDoc to the flat form, with the checks between values.
#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "base/id.hpp"
#include "fabric/routing/directory.hpp"
#include "fabric/routing/flat_map.hpp"

namespace rap::routing {

namespace {

// The place of `value` in a sorted table that holds it.
std::uint16_t place(const std::vector<std::string>& table, const std::string& value) {
  return static_cast<std::uint16_t>(std::lower_bound(table.begin(), table.end(), value) -
                                    table.begin());
}

template <typename Items>
bool has_twice(Items items) {
  std::sort(items.begin(), items.end());
  return std::adjacent_find(items.begin(), items.end()) != items.end();
}

}  // namespace

class DirectoryCompiler {
 public:
  explicit DirectoryCompiler(DirectoryDoc doc) : doc_(std::move(doc)) {}

  Result<Directory> run() {
    const auto by_id = [](const auto& a, const auto& b) { return a.node_id < b.node_id; };
    std::sort(doc_.nodes.begin(), doc_.nodes.end(), by_id);
    out_.cluster_id_ = doc_.cluster_id;
    out_.authority_ = doc_.authority;
    out_.authority_term_ = doc_.authority_term;
    out_.version_ = doc_.version;
    out_.issued_at_ = doc_.issued_at;
    out_.expires_at_ = doc_.expires_at;
    for (const auto step :
         {&DirectoryCompiler::check_ids, &DirectoryCompiler::tables, &DirectoryCompiler::nodes,
          &DirectoryCompiler::references, &DirectoryCompiler::groups, &DirectoryCompiler::policy}) {
      const Status status = (this->*step)();
      if (!status) return fail(status.error(), "mesh directory");
    }
    relay_lists();
    membership();
    return std::move(out_);
  }

 private:
  tl::unexpected<Error> wrong(const std::string& node, std::string_view what) {
    return fail(Errc::invalid, node + ": " + std::string(what));
  }

  Status check_ids() {
    if (doc_.nodes.size() > kNodesMax) {
      return fail(Errc::too_large, "more than " + std::to_string(kNodesMax) + " nodes");
    }
    if (!ClusterId::parse(doc_.cluster_id)) return fail(Errc::invalid, "cluster_id: not an id");
    out_.ids_.reserve(doc_.nodes.size() * 30);
    for (std::size_t i = 0; i < doc_.nodes.size(); ++i) {
      const NodeEntry& node = doc_.nodes[i];
      if (!NodeId::parse(node.node_id)) return fail(Errc::invalid, "node_id: not an id");
      if (i > 0 && doc_.nodes[i - 1].node_id == node.node_id) return wrong(node.node_id, "twice");
      if (node.spiffe_id != mesh_spiffe(doc_.cluster_id, node.node_id)) {
        return wrong(node.node_id, "spiffe_id: not that of this node in this cluster");
      }
      if (node.keys.empty() || node.keys.size() > kKeysMax) {
        return wrong(node.node_id, "keys: want one or two");
      }
      out_.ids_ += node.node_id;
    }
    return {};
  }

  Status tables() {
    std::set<std::string> regions, versions, organizations;
    const auto add = [&](const std::optional<std::vector<std::string>>& ids) {
      if (ids) organizations.insert(ids->begin(), ids->end());
    };
    for (const NodeEntry& node : doc_.nodes) {
      regions.insert(node.region);
      versions.insert(node.version);
      if (!node.owner.empty()) organizations.insert(node.owner);
      add(node.serves);
    }
    for (const GroupEntry& group : doc_.services) add(group.organizations);
    for (const GroupEntry& group : doc_.egress_pools) add(group.organizations);
    if (regions.size() > kRegionsMax) return fail(Errc::too_large, "more than 64 regions");
    if (versions.size() > kVersionsMax) return fail(Errc::too_large, "more than 1024 versions");
    if (organizations.size() > kOrganizationsMax) {
      return fail(Errc::too_large, "more than 4096 organizations");
    }
    out_.regions_.assign(regions.begin(), regions.end());
    out_.versions_.assign(versions.begin(), versions.end());
    out_.organizations_.push_back("");  // kPlatform
    out_.organizations_.insert(out_.organizations_.end(), organizations.begin(),
                               organizations.end());
    out_.sets_first_ = {0, 0};  // set 0: anybody
    return {};
  }

  Result<std::uint16_t> set_of(const std::optional<std::vector<std::string>>& ids) {
    if (!ids) return std::uint16_t{0};
    std::vector<OrganizationIndex> items;
    for (const std::string& id : *ids) items.push_back(out_.find_organization(id));
    std::sort(items.begin(), items.end());
    if (std::adjacent_find(items.begin(), items.end()) != items.end()) {
      return fail(Errc::invalid, "an organization is named twice");
    }
    const auto [at, fresh] =
        sets_.emplace(items, static_cast<std::uint16_t>(out_.sets_first_.size() - 1));
    if (fresh) {
      if (out_.sets_first_.size() > 0xfff0) return fail(Errc::too_large, "too many sets");
      out_.set_items_.insert(out_.set_items_.end(), items.begin(), items.end());
      out_.sets_first_.push_back(static_cast<std::uint32_t>(out_.set_items_.size()));
    }
    return at->second;
  }

  Status nodes() {
    out_.nodes_.resize(doc_.nodes.size());
    for (std::size_t i = 0; i < doc_.nodes.size(); ++i) {
      const NodeEntry& in = doc_.nodes[i];
      Directory::Node& node = out_.nodes_[i];
      if (in.endpoints.size() > kEndpointsMax || in.attached.size() > kAttachedMax) {
        return fail(Errc::too_large, in.node_id + ": endpoints or attached");
      }
      node.roles = in.roles;
      node.region = place(out_.regions_, in.region);
      node.version = place(out_.versions_, in.version);
      node.trust = in.trust;
      node.load = in.load_permille.value_or(kLoadUnknown);
      node.avoid = in.avoid;
      node.classes = in.classes;
      node.flags = static_cast<std::uint8_t>((in.thin ? Directory::kThin : 0) |
                                             (in.draining ? Directory::kDraining : 0) |
                                             (in.bootstrap ? Directory::kBootstrap : 0));
      node.owner = out_.find_organization(in.owner);
      if (node.owner != kPlatform &&
          in.serves != std::optional<std::vector<std::string>>{{in.owner}}) {
        return wrong(in.node_id, "serves: a node of an organization serves it and nobody else");
      }
      auto set = set_of(in.serves);
      if (!set) return fail(set.error(), in.node_id);
      node.serves = *set;
      node.endpoints_first = static_cast<std::uint32_t>(out_.endpoints_.size());
      node.endpoints = static_cast<std::uint8_t>(in.endpoints.size());
      out_.endpoints_.insert(out_.endpoints_.end(), in.endpoints.begin(), in.endpoints.end());
      node.keys_first = static_cast<std::uint32_t>(out_.keys_.size());
      node.keys = static_cast<std::uint8_t>(in.keys.size());
      out_.keys_.insert(out_.keys_.end(), in.keys.begin(), in.keys.end());
      if (in.bootstrap) {
        if (in.endpoints.empty()) return wrong(in.node_id, "bootstrap without endpoints");
        out_.bootstraps_.push_back(static_cast<NodeIndex>(i));
      }
    }
    out_.self_ = out_.find(doc_.node_id);
    if (out_.self_ == kNoNode) return wrong(doc_.node_id, "its own record is not in it");
    return {};
  }

  Status references() {
    for (std::size_t i = 0; i < doc_.nodes.size(); ++i) {
      const NodeEntry& in = doc_.nodes[i];
      out_.nodes_[i].attached_first = static_cast<std::uint32_t>(out_.attached_.size());
      out_.nodes_[i].attached = static_cast<std::uint8_t>(in.attached.size());
      if (has_twice(in.attached)) return wrong(in.node_id, "attached: a relay is named twice");
      for (const std::string& relay : in.attached) {
        const NodeIndex index = out_.find(relay);
        if (index == kNoNode || index == i) {
          return wrong(in.node_id, "attached: " + relay + " is not another node here");
        }
        out_.attached_.push_back(index);
      }
    }
    return {};
  }

  Status group_list(std::vector<GroupEntry>& in, std::vector<Group>& out) {
    if (in.size() > kGroupsMax) return fail(Errc::too_large, "more than 16384 names");
    std::sort(in.begin(), in.end(), [](auto& a, auto& b) { return a.name < b.name; });
    for (const GroupEntry& entry : in) {
      if (!out.empty() && out.back().name == entry.name) return wrong(entry.name, "twice");
      if (entry.members.size() > kGroupMembersMax) {
        return fail(Errc::too_large, entry.name + ": more than 64 members");
      }
      if (has_twice(entry.members)) return wrong(entry.name, "a member is named twice");
      auto set = set_of(entry.organizations);
      if (!set) return fail(set.error(), entry.name);
      Group group;
      group.name = entry.name;
      group.members_first = static_cast<std::uint32_t>(out_.members_.size());
      group.members = static_cast<std::uint16_t>(entry.members.size());
      group.organizations = *set;
      for (const std::string& member : entry.members) {
        out_.members_.push_back(out_.find(member));
        if (out_.members_.back() == kNoNode) {
          return wrong(entry.name, "member " + member + " is not a node here");
        }
      }
      out.push_back(std::move(group));
    }
    return {};
  }

  Status groups() {
    Status status = group_list(doc_.services, out_.services_);
    if (!status) return status;
    return group_list(doc_.egress_pools, out_.pools_);
  }

  Status policy() {
    const std::size_t n = out_.regions_.size();
    out_.distances_.assign(n * n, doc_.policy.region_distance);
    for (std::size_t i = 0; i < n; ++i) out_.distances_[i * n + i] = 0;
    for (const RegionDistance& pair : doc_.policy.region_distances) {
      const auto a = out_.find_region(pair.a);
      const auto b = out_.find_region(pair.b);
      if (!a || !b) continue;  // a region none of whose nodes this node was told of
      out_.distances_[*a * n + *b] = pair.distance;
      out_.distances_[*b * n + *a] = pair.distance;
    }
    auto& rules = doc_.policy.organizations;
    const auto by_id = [](const OrganizationRule& a, const OrganizationRule& b) {
      return a.organization_id < b.organization_id;
    };
    std::sort(rules.begin(), rules.end(), by_id);
    for (std::size_t i = 1; i < rules.size(); ++i) {
      if (rules[i].organization_id == rules[i - 1].organization_id) {
        return wrong(rules[i].organization_id, "two rules");
      }
    }
    out_.policy_ = std::move(doc_.policy);
    return {};
  }

  void relay_lists() {
    for (NodeIndex i = 0; i < out_.nodes_.size(); ++i) {
      if (out_.has(i, Role::relay_node)) out_.relays_.push_back(i);
    }
    const auto& nodes = out_.nodes_;
    std::sort(out_.relays_.begin(), out_.relays_.end(), [&](NodeIndex a, NodeIndex b) {
      if (nodes[a].region != nodes[b].region) return nodes[a].region < nodes[b].region;
      if (nodes[a].load != nodes[b].load) return nodes[a].load < nodes[b].load;
      return a < b;
    });
    out_.relays_first_.assign(out_.regions_.size() + 1, 0);
    for (const NodeIndex relay : out_.relays_) ++out_.relays_first_[nodes[relay].region + 1u];
    for (std::size_t i = 1; i < out_.relays_first_.size(); ++i) {
      out_.relays_first_[i] += out_.relays_first_[i - 1];
    }
  }

  void membership() {
    std::uint64_t sum = mix64(out_.nodes_.size());
    const auto add = [&sum](std::uint64_t value) { sum = mix64(sum ^ value); };
    for (const Directory::Node& node : out_.nodes_) {
      add(std::uint64_t{node.roles} << 48 | std::uint64_t{node.flags} << 40 |
          std::uint64_t{node.region} << 24 | static_cast<std::uint64_t>(node.trust) << 16 |
          (node.endpoints == 0 ? 0u : 1u));
      add(std::uint64_t{node.owner} << 16 | node.serves);
    }
    for (std::size_t i = 0; i < out_.ids_.size(); i += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, out_.ids_.data() + i, std::min<std::size_t>(8, out_.ids_.size() - i));
      add(word);
    }
    // What stands behind the numbers of regions, owners and sets.
    for (const auto* table : {&out_.regions_, &out_.organizations_}) {
      for (const std::string& text : *table) add(std::hash<std::string>{}(text));
    }
    for (const OrganizationIndex item : out_.set_items_) add(item);
    out_.membership_ = sum;
  }

  DirectoryDoc doc_;
  Directory out_;
  std::map<std::vector<OrganizationIndex>, std::uint16_t> sets_;
};

Result<Directory> Directory::compile(DirectoryDoc doc) {
  return DirectoryCompiler(std::move(doc)).run();
}

}  // namespace rap::routing
