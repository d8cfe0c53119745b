#include "fabric/peers/candidates.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/support/mesh_rig.hpp"

namespace rap::peers {
namespace {

using namespace rap::test;
using routing::Directory;
using routing::NodeIndex;

std::vector<routing::NodeEntry> many() {
  std::vector<routing::NodeEntry> out{node(1, 0)};
  for (unsigned i = 2; i < 62; ++i) out.push_back(relay(i, i % 2 == 0 ? "eu" : "us"));
  for (unsigned i = 62; i < 162; ++i) out.push_back(node(i, 0, i % 2 == 0 ? "eu" : "us"));
  for (unsigned i = 162; i < 200; ++i) out.push_back(hidden(i, {2}));
  return out;
}

TEST(Candidates, AreDialableTrustedAndOfTheSameOwnerOrThePlatform) {
  auto nodes = many();
  nodes[2].draining = true;
  nodes[3].trust = routing::Trust::quarantined;
  nodes[4].owner = org_id(1);
  nodes[4].serves = {{org_id(1)}};
  nodes[5].serves = {{org_id(1), org_id(2)}};
  nodes[6].owner = org_id(1);
  nodes[6].serves = {{org_id(1)}};
  const Directory directory = compiled(mesh(nodes));
  const auto may = [&](unsigned a, unsigned b) {
    return may_peer(directory, directory.find(node_id(a)), directory.find(node_id(b)));
  };
  EXPECT_TRUE(may(1, 2));
  EXPECT_FALSE(may(1, 1));
  EXPECT_FALSE(may(1, 170)) << "cannot be dialled";
  EXPECT_TRUE(may(170, 2)) << "but dials";
  EXPECT_FALSE(may(1, 3)) << "draining";
  EXPECT_FALSE(may(1, 4)) << "quarantined";
  EXPECT_FALSE(may(1, 5)) << "a customer's";
  EXPECT_FALSE(may(1, 6)) << "does not serve everybody this node serves";
  EXPECT_TRUE(may(5, 6));
  EXPECT_TRUE(may(5, 7)) << "the same customer's";
  EXPECT_TRUE(may(5, 2)) << "the platform's";
}

TEST(Candidates, AnOrganizationsNodeLetsInItsOwnOnly) {
  auto nodes = many();
  nodes[1].owner = org_id(1);
  nodes[1].serves = {{org_id(1)}};
  nodes[2] = hidden(3, {});
  nodes[2].owner = org_id(1);
  nodes[2].serves = {{org_id(1)}};
  nodes[3] = hidden(4, {});
  nodes[3].owner = org_id(2);
  nodes[3].serves = {{org_id(2)}};
  nodes[4].trust = routing::Trust::quarantined;
  const Directory directory = compiled(mesh(nodes));
  const auto lets_in = [&](unsigned self, unsigned other) {
    return may_accept(directory, directory.find(node_id(self)), directory.find(node_id(other)));
  };
  EXPECT_TRUE(lets_in(2, 3));
  EXPECT_FALSE(lets_in(2, 4)) << "another organization's";
  EXPECT_FALSE(lets_in(2, 1)) << "the platform's";
  EXPECT_TRUE(lets_in(1, 3));
  EXPECT_TRUE(lets_in(1, 4));
  EXPECT_FALSE(lets_in(1, 5)) << "quarantined";
  EXPECT_FALSE(lets_in(1, 1));
}

TEST(Candidates, SampleIsMostlyRelaysOfTwoRegionsAndComplete) {
  const Directory directory = compiled(mesh(many()));
  const auto sample = sample_candidates(directory, directory.self(), 1, 24);
  ASSERT_EQ(sample.size(), 24u);
  EXPECT_EQ(std::set<NodeIndex>(sample.begin(), sample.end()).size(), 24u);
  std::size_t relays = 0, near = 0;
  for (const NodeIndex node : sample) {
    relays += directory.has(node, routing::Role::relay_node) ? 1u : 0u;
    near += directory.region(node) == directory.region(directory.self()) ? 1u : 0u;
  }
  EXPECT_EQ(relays, 18u);
  EXPECT_EQ(near, 12u);
  // When there are fewer of one kind the others fill the places.
  const Directory small = compiled(mesh({node(1, 0), relay(2), node(3, 0), node(4, 0, "us")}));
  EXPECT_EQ(sample_candidates(small, small.self(), 1, 24).size(), 3u);
}

TEST(Candidates, SampleIsStableWhenNodesComeAndGo) {
  const Directory before = compiled(mesh(many()));
  auto nodes = many();
  nodes.erase(nodes.begin() + 20);
  nodes.push_back(relay(500));
  const Directory after = compiled(mesh(nodes));
  std::set<std::string> old_ids;
  for (const NodeIndex n : sample_candidates(before, before.self(), 3, 24)) {
    old_ids.emplace(before.id(n));
  }
  std::size_t same = 0;
  for (const NodeIndex n : sample_candidates(after, after.self(), 3, 24)) {
    same += old_ids.count(std::string(after.id(n)));
  }
  EXPECT_GE(same, 22u);
}

TEST(Candidates, AFleetDoesNotDrawTheSame) {
  const Directory directory = compiled(mesh(many()));
  std::map<NodeIndex, int> drawn;
  for (std::uint64_t seed = 0; seed < 600; ++seed) {
    for (const NodeIndex node : sample_candidates(directory, directory.self(), seed, 8)) {
      if (directory.has(node, routing::Role::relay_node)) ++drawn[node];
    }
  }
  EXPECT_EQ(drawn.size(), 60u);  // 6 of 60 each time: 60 on average
  for (const auto& [node, times] : drawn) {
    EXPECT_GT(times, 25) << directory.id(node);
    EXPECT_LT(times, 110) << directory.id(node);
  }
}

}  // namespace
}  // namespace rap::peers
