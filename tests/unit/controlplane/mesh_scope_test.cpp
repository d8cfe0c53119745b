#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "controlplane/mesh/scope.hpp"
#include "fabric/routing/directory.hpp"

namespace rap::cp {
namespace {

using routing::mask;
using routing::Role;

const SystemTime kNow = from_unix_seconds(1'800'000'000);
constexpr const char* kOrganizationA = "org_0000000000000000000000000a";
constexpr const char* kOrganizationB = "org_0000000000000000000000000b";

std::string node_id(std::size_t i) {
  return fmt::format("nod_{:026}", i);
}

routing::OrganizationRule rule_for(const char* organization) {
  routing::OrganizationRule out;
  out.organization_id = organization;
  return out;
}

struct Spec {
  std::vector<MeshAssignment> assignments = {};
  bool thin = false;
};

MeshView view_of(const std::vector<Spec>& specs) {
  MeshView view;
  view.cluster_id = "cls_00000000000000000000000000";
  view.authority_term = 1;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    MeshNode& node = view.nodes.emplace_back();
    MeshPlace place = place_of(specs[i].assignments);
    node.entry.node_id = node_id(i);
    node.entry.spiffe_id = routing::mesh_spiffe(view.cluster_id, node.entry.node_id);
    node.entry.keys = {sha256(node.entry.node_id)};
    node.entry.roles = place.roles;
    node.entry.owner = place.owner;
    node.entry.serves = place.serves;
    node.entry.region = i % 2 == 0 ? "eu" : "us";
    node.entry.version = "0.1.0";
    node.entry.thin = specs[i].thin;
    if (node.carries()) node.entry.endpoints = {"10.0.0.1:7443"};
    for (const auto& assignment : specs[i].assignments) {
      if (assignment.role != "ssh-worker" || assignment.organization.empty()) continue;
      const std::size_t serial = 2 * i + node.services.size();
      node.services.push_back({fmt::format("svc_{:026}", serial), assignment.organization});
    }
  }
  finish_view(view);
  return view;
}

std::vector<Spec> fleet(std::size_t relays, std::size_t entries, std::size_t workers,
                        std::size_t plain) {
  std::vector<Spec> out;
  for (std::size_t i = 0; i < relays; ++i) out.push_back({{{"relay-node", ""}}});
  for (std::size_t i = 0; i < entries; ++i) out.push_back({{{"entry-node", ""}}});
  for (std::size_t i = 0; i < workers; ++i) {
    out.push_back({{{"ssh-worker", kOrganizationA}, {"ssh-worker", kOrganizationB}}});
  }
  for (std::size_t i = 0; i < plain; ++i) out.push_back({});
  return out;
}

std::set<std::uint32_t> scope(const MeshView& view, std::uint32_t self) {
  const auto list = nodes_in_scope(view, self);
  return {list.begin(), list.end()};
}

TEST(MeshScope, PlacesFollowAssignments) {
  const auto roles = [](std::vector<MeshAssignment> a) { return place_of(a).roles; };
  EXPECT_EQ(roles({}), mask(Role::core_mesh));
  EXPECT_EQ(roles({{"relay-node", ""}}), mask(Role::core_mesh) | mask(Role::relay_node));
  EXPECT_EQ(roles({{"ssh-worker", kOrganizationA}, {"vpn-exit", kOrganizationA}}),
            mask(Role::core_mesh) | mask(Role::service) | mask(Role::egress));
  EXPECT_FALSE(place_of({}).serves.has_value());
  EXPECT_EQ(place_of({}).owner, "");
  const auto one = place_of({{"relay-node", kOrganizationA}, {"ssh-worker", kOrganizationA}});
  EXPECT_EQ(one.owner, kOrganizationA);
  EXPECT_EQ(*one.serves, (std::vector<std::string>{kOrganizationA}));
  EXPECT_NE(one.roles & mask(Role::relay_node), 0);
  const auto two = place_of({{"ssh-worker", kOrganizationB}, {"ssh-worker", kOrganizationA}});
  EXPECT_EQ(two.owner, "");
  EXPECT_EQ(*two.serves, (std::vector<std::string>{kOrganizationA, kOrganizationB}));
}

TEST(MeshScope, ARelayForOneOrganizationNeverCarriesAnothers) {
  const auto mixed = place_of({{"relay-node", kOrganizationA}, {"ssh-worker", ""}});
  EXPECT_EQ(mixed.roles & mask(Role::relay_node), 0);
  EXPECT_FALSE(mixed.serves.has_value());
  EXPECT_NE(place_of({{"relay-node", ""}, {"ssh-worker", ""}}).roles & mask(Role::relay_node), 0);
}

TEST(MeshScope, EveryDirectoryIsOneThatRoutingReads) {
  auto specs = fleet(70, 6, 60, 60);
  specs.push_back({{{"relay-node", kOrganizationA}}});
  specs.push_back({{{"ssh-worker", kOrganizationA}}, true});
  MeshView view = view_of(specs);
  view.nodes[80].entry.attached = {node_id(3), node_id(99999)};
  view.pools.push_back({"office", {node_id(77), node_id(90)}, {{kOrganizationA}}});
  view.policy.organizations.push_back(rule_for(kOrganizationB));
  for (std::uint32_t i = 0; i < view.nodes.size(); ++i) {
    const auto doc = directory_for(view, i, kNow);
    const auto read = routing::parse_directory(routing::to_json(doc));
    ASSERT_TRUE(read) << read.error().text();
    EXPECT_EQ(*read, doc);
    const auto compiled = routing::Directory::compile(*read);
    ASSERT_TRUE(compiled) << node_id(i) << ": " << compiled.error().text();
    EXPECT_EQ(compiled->id(compiled->self()), node_id(i));
  }
}

TEST(MeshScope, OrdinaryNodesKnowABoundedPart) {
  const MeshView view = view_of(fleet(600, 20, 300, 1000));
  for (std::uint32_t i = 620; i < 700; ++i) {
    EXPECT_LE(scope(view, i).size(), 1 + kCarriersOfService + 4 * kMeshCircles);
  }
  for (std::uint32_t i = 920; i < view.nodes.size(); i += 50) {
    EXPECT_LE(scope(view, i).size(), 1 + kCarriersOfPlain + 4 * kMeshCircles);
    EXPECT_GE(scope(view, i).size(), 1 + kCarriersOfPlain + kMeshCircles);
  }
  EXPECT_EQ(scope(view, 0).size(), view.nodes.size());
  auto specs = fleet(40, 0, 0, 20);
  specs.push_back({{{"ssh-worker", kOrganizationA}}, true});
  const MeshView small = view_of(specs);
  EXPECT_LE(scope(small, 60).size(), 1 + kCarriersOfThin + 4 * kMeshCircles);
}

TEST(MeshScope, WhoKnowsIsKnown) {
  auto specs = fleet(100, 5, 100, 200);
  for (std::size_t i = 0; i < 10; ++i) specs.push_back({{{"ssh-worker", kOrganizationA}}});
  const MeshView view = view_of(specs);
  std::vector<std::set<std::uint32_t>> known;
  for (std::uint32_t i = 0; i < view.nodes.size(); ++i) known.push_back(scope(view, i));
  for (std::uint32_t i = 0; i < view.nodes.size(); ++i) {
    for (const std::uint32_t other : known[i]) {
      // A relay knows many who were not told of it; nobody knows one that does not know them.
      if (view.nodes[i].carries() && !view.nodes[other].carries()) continue;
      EXPECT_TRUE(known[other].contains(i)) << i << " " << other;
    }
  }
}

TEST(MeshScope, OrganizationsDoNotLearnThePlatform) {
  auto specs = fleet(10, 2, 20, 40);
  specs.push_back({{{"relay-node", kOrganizationA}}});
  specs.push_back({{{"ssh-worker", kOrganizationA}}});
  specs.push_back({{{"ssh-worker", kOrganizationB}}});
  const MeshView view = view_of(specs);
  const std::uint32_t relay = 72, worker = 73, foreign = 74;
  for (const std::uint32_t i : scope(view, relay)) {
    const MeshNode& node = view.nodes[i];
    const bool known =
        node.carries() || node.entry.owner == kOrganizationA || !node.services.empty();
    EXPECT_TRUE(known) << i;
  }
  EXPECT_TRUE(scope(view, relay).contains(worker));
  EXPECT_FALSE(scope(view, relay).contains(foreign));
  EXPECT_FALSE(scope(view, worker).contains(foreign));
  for (std::uint32_t i = 32; i < 72; ++i) EXPECT_FALSE(scope(view, worker).contains(i));
  const auto doc = directory_for(view, relay, kNow);
  EXPECT_TRUE(doc.services.empty());  // names are for entries
}

TEST(MeshScope, OnlyEntriesSeeLoadsAttachmentsAndNames) {
  auto specs = fleet(2, 1, 1, 0);
  MeshView view = view_of(specs);
  view.nodes[0].entry.load_permille = 500;
  view.nodes[3].entry.attached = {node_id(0)};
  const auto entry = directory_for(view, 2, kNow), relay = directory_for(view, 1, kNow);
  EXPECT_EQ(entry.nodes[0].load_permille, 500);
  EXPECT_EQ(entry.nodes[3].attached.size(), 1u);
  EXPECT_EQ(entry.services.size(), 2u);
  EXPECT_FALSE(relay.nodes[0].load_permille.has_value());
  EXPECT_TRUE(relay.nodes[3].attached.empty());
  EXPECT_TRUE(relay.services.empty());
  EXPECT_EQ(directory_for(view, 3, kNow).services.size(), 2u);  // its own
}

// Equal hashes must mean equal documents, or a change is never told.
TEST(MeshScope, TheHashIsThatOfWhatIsSaid) {
  auto specs = fleet(5, 2, 10, 30);
  specs.push_back({{{"ssh-worker", kOrganizationA}}});
  const auto change = [&](int which, MeshView& view) {
    routing::NodeEntry& worker = view.nodes[10].entry;
    switch (which) {
      case 0:
        worker.keys.push_back(sha256("next"));
        break;
      case 1:
        worker.endpoints = {"10.9.9.9:1"};
        break;
      case 2:
        worker.attached = {node_id(1)};
        break;
      case 3:
        worker.load_permille = 7;
        break;
      case 4:
        worker.region = "asia";
        break;
      case 5:
        worker.version = "9";
        break;
      case 6:
        worker.trust = routing::Trust::low;
        break;
      case 7:
        worker.avoid = 3;
        break;
      case 8:
        worker.draining = true;
        break;
      case 9:
        worker.serves->pop_back();
        break;
      case 10:
        view.nodes[10].services.pop_back();
        break;
      case 11:
        view.policy.relays_max = 1;
        break;
      case 12:
        view.policy.organizations.push_back(rule_for(kOrganizationB));
        break;
      case 13:
        view.pools.push_back({"p", {node_id(10)}, {{kOrganizationB}}});
        break;
      case 14:
        view.authority_term = 2;
        break;
      case 15:
        worker.thin = true;
        break;
      case 16:
        worker.roles |= mask(Role::egress);
        break;
      case 17:
        view.authority = routing::AuthorityState::degraded;
        break;
    }
  };
  const MeshView before = view_of(specs);
  for (int which = 0; which < 18; ++which) {
    MeshView after = view_of(specs);
    change(which, after);
    after.carriers.clear();
    for (auto& circle : after.circles) circle.clear();
    after.rule_hashes.clear();
    finish_view(after);
    bool any = false;
    for (std::uint32_t i = 0; i < before.nodes.size(); ++i) {
      const bool same_text = directory_for(before, i, kNow) == directory_for(after, i, kNow);
      const bool same_hash = scope_hash(before, i) == scope_hash(after, i);
      EXPECT_TRUE(same_text || !same_hash) << which << " for " << i;
      any = any || !same_text;
    }
    EXPECT_TRUE(any) << which;
  }
}

TEST(MeshScope, AChangeConcernsFew) {
  const MeshView before = view_of(fleet(50, 5, 300, 2000));
  MeshView after = before;
  after.nodes[1000].entry.keys.push_back(sha256("next"));
  after.carriers.clear();
  for (auto& circle : after.circles) circle.clear();
  finish_view(after);
  std::size_t woken = 0;
  for (std::uint32_t i = 0; i < before.nodes.size(); ++i) {
    woken += scope_hash(before, i) == scope_hash(after, i) ? 0 : 1;
  }
  EXPECT_GE(woken, 56u);                         // relays, entries, itself
  EXPECT_LE(woken, 56u + 2 * 2 * kMeshCircles);  // and its neighbours, of 2,355
}

TEST(MeshScope, DirectoriesAreRenewedEachAtItsOwnTime) {
  const MeshView view = view_of(fleet(0, 0, 0, 50));
  std::set<std::int64_t> moved;
  for (const MeshNode& node : view.nodes) {
    const auto now = directory_period(node, kNow);
    EXPECT_EQ(directory_period(node, kNow + kMeshDirectoryRenewed), now + 1);
    for (std::int64_t m = 0; m < 360; ++m) {
      if (directory_period(node, kNow + std::chrono::minutes(m)) != now) {
        moved.insert(m);
        break;
      }
    }
  }
  EXPECT_GT(moved.size(), 20u);
}

}  // namespace
}  // namespace rap::cp
