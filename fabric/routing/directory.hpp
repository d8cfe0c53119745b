// The peer directory in the form decisions read: interned, flat, immutable. 10,000 nodes take about
// 2 MB. Safe to read from any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "fabric/routing/directory_doc.hpp"

namespace rap::routing {

class DirectoryCompiler;

using OrganizationIndex = std::uint16_t;
inline constexpr OrganizationIndex kPlatform = 0;  // owner of what no organization owns
inline constexpr OrganizationIndex kUnknownOrganization = 0xffff;  // named nowhere in the directory
inline constexpr std::uint16_t kLoadUnknown = 0xffff;

struct Group {
  std::string name;
  std::uint32_t members_first = 0;
  std::uint16_t members = 0;
  std::uint16_t organizations = 0;  // a set; 0: anybody
};

class Directory {
 public:
  // Checks what must agree: ids once each, every id that is referred to is a node of the directory,
  // identities of this cluster, nodes of an organization serve it alone, the limits of distinct
  // regions, organizations and versions. `invalid` or `too_large`, naming the node.
  static Result<Directory> compile(DirectoryDoc doc);

  // The values it was compiled from, with nodes, and their references, in the order of ids.
  DirectoryDoc doc() const;

  std::size_t size() const { return nodes_.size(); }
  const std::string& cluster_id() const { return cluster_id_; }
  NodeIndex self() const { return self_; }
  AuthorityState authority() const { return authority_; }
  std::int64_t authority_term() const { return authority_term_; }
  std::int64_t version() const { return version_; }
  // A hash over who is there and who may be whose peer: nodes, roles, regions, owners, trust, ways
  // to be reached. Loads and attachments change all the time, this rarely.
  std::uint64_t membership() const { return membership_; }
  SystemTime issued_at() const { return issued_at_; }
  SystemTime expires_at() const { return expires_at_; }
  const Policy& policy() const { return policy_; }

  // kNoNode when there is none.
  NodeIndex find(std::string_view node_id) const;
  std::string_view id(NodeIndex node) const;
  bool has(NodeIndex node, Role role) const { return (nodes_[node].roles & mask(role)) != 0; }
  RoleMask roles(NodeIndex node) const { return nodes_[node].roles; }
  std::uint16_t region(NodeIndex node) const { return nodes_[node].region; }
  const std::string& region_name(std::uint16_t region) const { return regions_[region]; }
  std::size_t regions() const { return regions_.size(); }
  // nullopt when no node is there.
  std::optional<std::uint16_t> find_region(std::string_view name) const;
  std::uint16_t distance(std::uint16_t a, std::uint16_t b) const {
    return distances_[a * regions_.size() + b];
  }
  OrganizationIndex owner(NodeIndex node) const { return nodes_[node].owner; }
  Trust trust(NodeIndex node) const { return nodes_[node].trust; }
  std::uint16_t load(NodeIndex node) const { return nodes_[node].load; }
  std::uint16_t avoid(NodeIndex node) const { return nodes_[node].avoid; }
  bool carries(NodeIndex node, ChannelClass c) const {
    return (nodes_[node].classes & mask(c)) != 0;
  }
  bool draining(NodeIndex node) const { return (nodes_[node].flags & kDraining) != 0; }
  bool thin(NodeIndex node) const { return (nodes_[node].flags & kThin) != 0; }
  bool bootstrap(NodeIndex node) const { return (nodes_[node].flags & kBootstrap) != 0; }
  const std::string& version_of(NodeIndex node) const { return versions_[nodes_[node].version]; }

  // A node without endpoints dials out only and is reached over `attached`.
  bool dialable(NodeIndex node) const { return nodes_[node].endpoints != 0; }
  std::span<const std::string> endpoints(NodeIndex node) const {
    return {endpoints_.data() + nodes_[node].endpoints_first, nodes_[node].endpoints};
  }
  std::span<const NodeIndex> attached(NodeIndex node) const {
    return {attached_.data() + nodes_[node].attached_first, nodes_[node].attached};
  }
  // By what the directory knows: `from` can dial `to`, or `to` has dialled `from`.
  bool may_connect(NodeIndex from, NodeIndex to) const;

  // kPlatform for "", kUnknownOrganization for one that is named nowhere.
  OrganizationIndex find_organization(std::string_view id) const;
  const std::string& organization_id(OrganizationIndex index) const {
    return organizations_[index];
  }
  bool serves(NodeIndex node, OrganizationIndex organization) const {
    return in_set(nodes_[node].serves, organization);
  }
  // `node` serves everybody whom `other` serves.
  bool serves_all_of(NodeIndex node, NodeIndex other) const;
  bool allows(const Group& group, OrganizationIndex organization) const {
    return in_set(group.organizations, organization);
  }
  // nullptr when there is none.
  const Group* service(std::string_view name) const { return find_group(services_, name); }
  const Group* egress_pool(std::string_view name) const { return find_group(pools_, name); }
  std::span<const NodeIndex> members(const Group& group) const {
    return {members_.data() + group.members_first, group.members};
  }
  // nullptr: no rule of its own.
  const OrganizationRule* rule(std::string_view organization_id) const;

  // Every node with the role relay-node, region by region, the least loaded first.
  std::span<const NodeIndex> relays() const { return relays_; }
  std::span<const NodeIndex> relays(std::uint16_t region) const {
    return {relays_.data() + relays_first_[region],
            relays_first_[region + 1u] - relays_first_[region]};
  }
  std::span<const NodeIndex> bootstraps() const { return bootstraps_; }

  // Which node shows this certificate: its URI and the SHA-256 of its key. Fails with `mismatch`
  // (another cluster, another key) or `not_found` (not, or no longer, in the directory).
  Result<NodeIndex> check_peer(std::string_view spiffe_id, const Sha256Digest& key) const;

 private:
  static constexpr std::uint8_t kThin = 1, kDraining = 2, kBootstrap = 4;

  struct Node {
    std::uint32_t endpoints_first = 0;
    std::uint32_t attached_first = 0;
    std::uint32_t keys_first = 0;
    OrganizationIndex owner = kPlatform;
    std::uint16_t serves = 0;  // a set; 0: anybody
    std::uint16_t region = 0;
    std::uint16_t version = 0;
    std::uint16_t load = kLoadUnknown;
    std::uint16_t avoid = 0;
    RoleMask roles = 0;
    Trust trust = Trust::normal;
    std::uint8_t endpoints = 0;
    std::uint8_t attached = 0;
    std::uint8_t keys = 0;
    ClassMask classes = kEveryClass;
    std::uint8_t flags = 0;
  };
  friend class DirectoryCompiler;

  bool in_set(std::uint16_t set, OrganizationIndex organization) const;
  std::vector<std::string> set_ids(std::uint16_t set) const;
  std::vector<GroupEntry> group_entries(const std::vector<Group>& groups) const;
  static const Group* find_group(const std::vector<Group>& groups, std::string_view name);

  std::string cluster_id_;
  NodeIndex self_ = kNoNode;
  AuthorityState authority_ = AuthorityState::healthy;
  std::int64_t authority_term_ = 0;
  std::int64_t version_ = 0;
  std::uint64_t membership_ = 0;
  SystemTime issued_at_{};
  SystemTime expires_at_{};
  Policy policy_;

  std::vector<Node> nodes_;  // by id
  std::string ids_;          // kIdChars for each node
  std::vector<std::string> endpoints_;
  std::vector<NodeIndex> attached_;
  std::vector<Sha256Digest> keys_;
  std::vector<std::string> regions_;
  std::vector<std::uint16_t> distances_;  // regions x regions
  std::vector<std::string> versions_;
  std::vector<std::string> organizations_;    // [0] is the platform, the others sorted
  std::vector<OrganizationIndex> set_items_;  // sorted within a set
  std::vector<std::uint32_t> sets_first_;     // set i is [i], [i + 1)
  std::vector<Group> services_, pools_;       // by name
  std::vector<NodeIndex> members_;
  std::vector<NodeIndex> relays_;
  std::vector<std::uint32_t> relays_first_;  // by region, one more
  std::vector<NodeIndex> bootstraps_;
};

}  // namespace rap::routing
