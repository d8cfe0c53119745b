#include "controlplane/mesh/scope.hpp"

#include <algorithm>

#include "fabric/routing/flat_map.hpp"

namespace rap::cp {
namespace {

using routing::NodeEntry;
using routing::Role;

constexpr std::size_t kEverybody = routing::kNodesMax;

// May the two ever have to do with each other? In no direction.
bool meets(const MeshNode& a, const MeshNode& b) {
  if (!a.entry.owner.empty() && !b.entry.owner.empty()) return a.entry.owner == b.entry.owner;
  if (!a.entry.serves || !b.entry.serves) return true;
  return std::ranges::any_of(
      *a.entry.serves, [&](const std::string& organization) { return b.serves(organization); });
}

bool has_service_for(const MeshNode& node, const std::string& organization) {
  return std::ranges::any_of(node.services, [&](const MeshService& service) {
    return service.organization == organization;
  });
}

std::size_t carriers_of(const MeshNode& node) {
  if (node.entry.thin) return kCarriersOfThin;
  if (!node.entry.owner.empty()) return kCarriersOfOwned;
  if (node.carries()) return kEverybody;
  if (node.is(Role::service) || node.is(Role::egress)) return kCarriersOfService;
  return kCarriersOfPlain;
}

bool may_ask(const MeshNode& node, const routing::GroupEntry& pool) {
  if (!pool.organizations || !node.entry.serves) return true;
  return std::ranges::any_of(*pool.organizations, [&](const std::string& organization) {
    return node.serves(organization);
  });
}

// Whose adapters may want to leave the mesh somewhere.
bool asks_for_pools(const MeshNode& node) {
  return node.carries() || node.is(Role::service) || node.is(Role::egress);
}

class ScopeOf {
 public:
  ScopeOf(const MeshView& view, std::uint32_t self)
      : view_(view), self_(self), node_(view.nodes[self]), marked_(view.nodes.size()) {}

  std::vector<std::uint32_t> run() {
    mark(self_);
    carriers();
    neighbours();
    if (node_.carries()) destinations();
    if (asks_for_pools(node_)) pool_members();
    std::vector<std::uint32_t> out;
    for (std::uint32_t i = 0; i < marked_.size(); ++i) {
      if (marked_[i]) out.push_back(i);
    }
    return out;
  }

 private:
  void mark(std::uint32_t i) { marked_[i] = true; }

  // Half of them from the node's own region, the rest by chance: each node another sample, the same
  // one every time.
  void carriers() {
    const std::size_t most = carriers_of(node_);
    std::vector<std::uint32_t> found;
    for (const std::uint32_t i : view_.carriers) {
      if (i != self_ && meets(node_, view_.nodes[i])) found.push_back(i);
    }
    if (found.size() > most) {
      const auto rank = [&](std::uint32_t i) {
        return routing::mix64(node_.chance ^ view_.nodes[i].chance);
      };
      const auto near = std::stable_partition(found.begin(), found.end(), [&](std::uint32_t i) {
        return view_.nodes[i].entry.region == node_.entry.region;
      });
      const auto by_rank = [&](std::uint32_t a, std::uint32_t b) { return rank(a) < rank(b); };
      std::sort(found.begin(), near, by_rank);
      std::sort(std::min(near, found.begin() + static_cast<std::ptrdiff_t>(most / 2)), found.end(),
                by_rank);
      // Last resorts are for everybody.
      std::stable_partition(found.begin(), found.end(),
                            [&](std::uint32_t i) { return view_.nodes[i].entry.bootstrap; });
      found.resize(most);
    }
    std::ranges::for_each(found, [&](std::uint32_t i) { mark(i); });
  }

  // On circles of those who carry nothing, those of one owner beside each other.
  void neighbours() {
    if (node_.carries()) return;
    for (std::size_t c = 0; c < kMeshCircles; ++c) {
      const auto& circle = view_.circles[c];
      const auto before = [&](std::uint32_t i, const MeshNode& node) {
        const MeshNode& other = view_.nodes[i];
        if (other.entry.owner != node.entry.owner) return other.entry.owner < node.entry.owner;
        return other.places[c] < node.places[c];
      };
      const auto owner_of = [&](std::uint32_t i) -> const std::string& {
        return view_.nodes[i].entry.owner;
      };
      const auto arc = std::ranges::equal_range(circle, node_.entry.owner, {}, owner_of);
      const auto me = std::lower_bound(arc.begin(), arc.end(), node_, before) - arc.begin();
      const auto size = static_cast<std::ptrdiff_t>(arc.size());
      for (std::ptrdiff_t step = 1; step <= static_cast<std::ptrdiff_t>(kNeighboursPerSide);
           ++step) {
        if (size == 0) break;
        mark(arc.begin()[(me + step) % size]);
        mark(arc.begin()[((me - step) % size + size) % size]);
      }
    }
  }

  // Who carries streams has to know the ends, and everybody who may dial it.
  void destinations() {
    for (std::uint32_t i = 0; i < view_.nodes.size(); ++i) {
      const MeshNode& other = view_.nodes[i];
      if (other.carries() || !meets(node_, other)) continue;
      const bool of_owner = node_.entry.owner.empty() || other.entry.owner == node_.entry.owner ||
                            has_service_for(other, node_.entry.owner);
      if (of_owner) mark(i);
    }
  }

  void pool_members() {
    for (const routing::GroupEntry& pool : view_.pools) {
      if (!may_ask(node_, pool)) continue;
      for (const std::string& member : pool.members) {
        const MeshNode* found = view_.find(member);
        if (found != nullptr && meets(node_, *found)) {
          mark(static_cast<std::uint32_t>(found - view_.nodes.data()));
        }
      }
    }
  }
  const MeshView& view_;
  std::uint32_t self_;
  const MeshNode& node_;
  std::vector<bool> marked_;
};

// Loads and attachments are for those who choose paths for people.
bool sees_all(const MeshNode& node) {
  return node.is(Role::entry_node);
}

}  // namespace

std::vector<std::uint32_t> nodes_in_scope(const MeshView& view, std::uint32_t self) {
  return ScopeOf(view, self).run();
}

routing::DirectoryDoc directory_for(const MeshView& view, std::uint32_t self, SystemTime now) {
  const MeshNode& me = view.nodes[self];
  const std::vector<std::uint32_t> scope = nodes_in_scope(view, self);
  const auto told = [&](const std::string& id) {
    const MeshNode* node = view.find(id);
    return node != nullptr &&
           std::ranges::binary_search(scope, static_cast<std::uint32_t>(node - view.nodes.data()));
  };
  routing::DirectoryDoc doc;
  doc.cluster_id = view.cluster_id;
  doc.node_id = me.entry.node_id;
  doc.authority = view.authority;
  doc.authority_term = view.authority_term;
  doc.issued_at = std::chrono::floor<std::chrono::seconds>(now);
  doc.expires_at = doc.issued_at + kMeshDirectoryLife;
  doc.version = to_unix_seconds(now);
  for (const std::uint32_t i : scope) {
    const MeshNode& node = view.nodes[i];
    NodeEntry entry = node.entry;
    if (!sees_all(me)) {
      entry.load_permille.reset();
      entry.attached.clear();
    }
    std::erase_if(entry.attached,
                  [&](const std::string& id) { return id == entry.node_id || !told(id); });
    doc.nodes.push_back(std::move(entry));
    // Names are for those who choose paths, and for the node that answers to them.
    if (!sees_all(me) && i != self) continue;
    for (const MeshService& service : node.services) {
      if (doc.services.size() == routing::kGroupsMax) break;
      doc.services.push_back({service.id, {node.entry.node_id}, {{service.organization}}});
    }
  }
  for (const routing::GroupEntry& pool : view.pools) {
    routing::GroupEntry seen{pool.name, {}, pool.organizations};
    for (const std::string& member : pool.members) {
      if (told(member)) seen.members.push_back(member);
    }
    if (asks_for_pools(me) && may_ask(me, pool) && !seen.members.empty())
      doc.egress_pools.push_back(std::move(seen));
  }
  doc.policy = view.policy;
  std::erase_if(doc.policy.organizations, [&](const routing::OrganizationRule& rule) {
    return !me.serves(rule.organization_id);
  });
  return doc;
}

Sha256Digest scope_hash(const MeshView& view, std::uint32_t self) {
  const MeshNode& me = view.nodes[self];
  Sha256 hash;
  for (const std::uint32_t i : nodes_in_scope(view, self)) {
    const MeshNode& node = view.nodes[i];
    const bool all = sees_all(me) || i == self;
    hash.update(all ? node.full_hash : node.plain_hash);
  }
  hash.update(view.rest_hash);
  if (!me.entry.serves) {
    hash.update(view.rules_hash);
    return hash.finish();
  }
  for (std::size_t i = 0; i < view.rule_hashes.size(); ++i) {
    if (me.serves(view.policy.organizations[i].organization_id)) hash.update(view.rule_hashes[i]);
  }
  return hash.finish();
}

std::int64_t directory_period(const MeshNode& node, SystemTime now) {
  const std::int64_t period = std::chrono::seconds(kMeshDirectoryRenewed).count();
  const auto shift = static_cast<std::int64_t>(node.chance % static_cast<std::uint64_t>(period));
  return (to_unix_seconds(now) + shift) / period;
}

}  // namespace rap::cp
