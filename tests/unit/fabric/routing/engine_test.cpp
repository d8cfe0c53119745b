#include "fabric/routing/engine.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "fabric/routing/score.hpp"
#include "tests/unit/fabric/routing/decide_rig.hpp"

namespace rap::routing {
namespace {

using namespace rap::test;

// 1 entry, 2 and 3 relays, 4 a service behind NAT attached to both, 5 a service that can be
// dialled.
DirectoryDoc five() {
  return mesh({node(1, mask(Role::entry_node)), relay(2), relay(3), hidden(4, {2, 3}),
               node(5, mask(Role::service))});
}

TEST(Decide, DirectWhenThatIsBest) {
  DecideRig rig(five());
  rig.up(2, 10);
  rig.up(5, 10);
  EXPECT_EQ(rig.to(5), "1-5");
  EXPECT_EQ(rig.decision.choice, Choice::best);
}

TEST(Decide, OverTheBetterRelayWhenTheDestinationIsHidden) {
  DecideRig rig(five());
  rig.up(2, 30);
  rig.up(3, 10);
  rig.told(2, 4, 5);
  rig.told(3, 4, 5);
  EXPECT_EQ(rig.to(4), "1-3-4");
  EXPECT_EQ(rig.all()[1], "1-2-4");
}

TEST(Decide, TwoRelaysWhenOneEndOfEachIsHidden) {
  // 1 is behind NAT too, and only reaches 2; 4 is attached to 3 alone.
  DirectoryDoc doc = five();
  doc.nodes[0].endpoints.clear();
  doc.nodes[0].attached = {node_id(2)};
  doc.nodes[3].attached = {node_id(3)};
  DecideRig rig(doc);
  rig.up(2, 10);
  rig.measurements.dial_failed(rig.n(3), MonoTime{0}, rig.directory.policy().decay);
  EXPECT_EQ(rig.to(4), "1-2-3-4");
}

TEST(Decide, ThreeRelaysWhenPolicyAllowsAndOtherwiseSaysWhy) {
  DirectoryDoc doc = mesh({node(1, 0), relay(2), relay(3), relay(6), hidden(4, {3})});
  DecideRig rig(doc);
  const auto cut = [](DecideRig& r) {
    for (const unsigned relay : {3u, 6u}) {
      r.measurements.dial_failed(r.n(relay), MonoTime{0}, r.directory.policy().decay);
    }
    r.up(2, 10);
    r.told_down(2, 3);
  };
  cut(rig);
  EXPECT_EQ(rig.to(4), "");
  EXPECT_EQ(rig.decision.reason, Rule::relay_limit);
  doc.policy.relays_max = 3;
  DecideRig longer(doc);
  cut(longer);
  EXPECT_EQ(longer.to(4), "1-2-6-3-4");
}

TEST(Decide, CandidatesAreSortedWithoutLoopsAndNotAllOverOneRelay) {
  std::vector<NodeEntry> nodes{node(1, 0)};
  for (unsigned i = 2; i < 14; ++i) nodes.push_back(relay(i));
  nodes.push_back(hidden(20, {2, 3, 4, 5}));
  DirectoryDoc doc = mesh(nodes);
  doc.policy.relays_max = 3;
  DecideRig rig(doc);
  rig.up(2, 1);
  rig.up(3, 200);
  rig.to(20);
  ASSERT_EQ(rig.decision.count, 8u);
  std::set<NodeIndex> first;
  for (std::size_t i = 0; i < rig.decision.count; ++i) {
    if (i > 0) {
      EXPECT_LE(rig.out[i - 1].cost, rig.out[i].cost);
    }
    const auto path = rig.out[i].path.view();
    EXPECT_EQ(std::set<NodeIndex>(path.begin(), path.end()).size(), path.size());
    EXPECT_EQ(path.front(), rig.n(1));
    EXPECT_EQ(path.back(), rig.n(20));
    first.insert(path[1]);
  }
  EXPECT_GT(first.size(), 1u);
}

TEST(Decide, CostIsThatOfTheExplanation) {
  DecideRig rig(five());
  rig.up(2, 30);
  rig.told(2, 4, 7);
  rig.to(4);
  const Scorer scorer(rig.directory, rig.measurements, ChannelClass::interactive, rig.n(1), at(0));
  for (std::size_t i = 0; i < rig.decision.count; ++i) {
    EXPECT_NEAR(rig.out[i].cost, scorer.path_cost(rig.out[i].path), 0.01);
  }
}

TEST(Decide, ClassesTakeDifferentPaths) {
  DirectoryDoc doc = five();
  doc.nodes[3].attached = {node_id(2), node_id(3)};
  DecideRig rig(doc);
  rig.up(2, 5);
  rig.measurements.bandwidth(rig.n(2), 1'000, MonoTime{0});
  rig.up(3, 40);
  rig.measurements.bandwidth(rig.n(3), 1'000'000, MonoTime{0});
  EXPECT_EQ(rig.to(4), "1-2-4");
  rig.request.channel_class = ChannelClass::bulk;
  EXPECT_EQ(rig.to(4), "1-3-4");
}

TEST(Decide, AServiceGoesToItsBestMember) {
  DirectoryDoc doc = five();
  doc.services = {{"echo", {node_id(4), node_id(5)}, std::nullopt},
                  {"private", {node_id(5)}, {{org_id(1)}}},
                  {"nowhere", {}, std::nullopt}};
  DecideRig rig(doc);
  rig.up(5, 10);
  EXPECT_EQ(rig.decide(TargetKind::service, "echo"), "1-5");
  rig.request.excluded_nodes = {};
  const NodeIndex five_index = rig.n(5);
  rig.request.excluded_nodes = {&five_index, 1};
  EXPECT_EQ(rig.decide(TargetKind::service, "echo").substr(0, 2), "1-");
  EXPECT_EQ(rig.out[0].path.destination(), rig.n(4));
  rig.request.excluded_nodes = {};
  EXPECT_EQ(rig.decide(TargetKind::service, "nowhere"), "");
  EXPECT_EQ(rig.decision.reason, Rule::empty_target);
  const std::string stranger = org_id(2);
  rig.request.organization = stranger;
  EXPECT_EQ(rig.decide(TargetKind::service, "private"), "");
  EXPECT_EQ(rig.decision.reason, Rule::organization);
}

TEST(Decide, AServiceOfItsOwnIsReachedWithoutALink) {
  DirectoryDoc doc = five();
  doc.services = {{"echo", {node_id(1), node_id(5)}, std::nullopt}};
  DecideRig rig(doc);
  rig.up(5, 1);
  EXPECT_EQ(rig.decide(TargetKind::service, "echo"), "1");
}

TEST(Decide, EgressNodesAndPools) {
  DirectoryDoc doc = five();
  doc.nodes[4].roles |= mask(Role::egress);
  doc.egress_pools = {{"office", {node_id(5)}, std::nullopt}};
  DecideRig rig(doc);
  EXPECT_EQ(rig.decide(TargetKind::egress_pool, "office"), "1-5");
  EXPECT_EQ(rig.decide(TargetKind::egress_node, node_id(5)), "1-5");
  EXPECT_EQ(rig.decide(TargetKind::egress_node, node_id(4)), "");
  EXPECT_EQ(rig.decision.reason, Rule::not_egress);
}

TEST(Decide, SaysWhichRuleTookWhat) {
  DirectoryDoc doc = five();
  doc.nodes[1].draining = true;
  doc.nodes[2].owner = org_id(1);
  doc.nodes[2].serves = {{org_id(1)}};
  DecideRig rig(doc);
  EXPECT_EQ(rig.to(4), "");
  EXPECT_EQ(rig.decision.removed[static_cast<std::size_t>(Rule::draining)].count, 1u);
  EXPECT_EQ(rig.decision.removed[static_cast<std::size_t>(Rule::organization)].a, rig.n(3));
  const std::string text = explain_none(rig.directory, rig.request, rig.decision);
  EXPECT_NE(text.find("draining took 1, e.g. " + node_id(2)), std::string::npos) << text;
  EXPECT_NE(text.find("unreachable took 1, e.g. " + node_id(1)), std::string::npos) << text;
  const std::string own = org_id(1);
  rig.request.organization = own;
  EXPECT_EQ(rig.to(4), "1-3-4");
}

TEST(Decide, RefusesWhatIsNotOfThisClusterOrUnknown) {
  DecideRig rig(five());
  EXPECT_EQ(rig.to(88), "");
  EXPECT_EQ(rig.decision.reason, Rule::unknown_target);
  EXPECT_EQ(rig.decide(TargetKind::service, "x"), "");
  EXPECT_EQ(rig.decision.reason, Rule::unknown_target);
  rig.request.cluster_id = "cls_other";
  EXPECT_EQ(rig.to(5), "");
  EXPECT_EQ(rig.decision.reason, Rule::foreign_cluster);
  rig.request.cluster_id = rig.directory.cluster_id();
  rig.request.origin = 1'000;
  EXPECT_EQ(rig.to(5), "");
}

TEST(Decide, ExcludedNodesAndLinksAreAvoided) {
  DecideRig rig(five());
  rig.up(2, 1);
  rig.up(3, 50);
  EXPECT_EQ(rig.to(4), "1-2-4");
  const NodeIndex relay = rig.n(2);
  rig.request.excluded_nodes = {&relay, 1};
  EXPECT_EQ(rig.to(4), "1-3-4");
  rig.request.excluded_nodes = {};
  const Link link{rig.n(4), rig.n(2)};  // in either direction
  rig.request.excluded_links = {&link, 1};
  EXPECT_EQ(rig.to(4), "1-3-4");
}

TEST(Decide, ADirectPathThatIsUnmeasuredIsProposedForTrying) {
  DecideRig rig(five());
  rig.up(2, 5);
  rig.told(2, 5, 5);
  EXPECT_EQ(rig.to(5), "1-2-5");
  EXPECT_EQ(rig.decision.try_direct, rig.n(5));
  rig.up(5, 8, 0);
  EXPECT_EQ(rig.to(5), "1-5");
  EXPECT_EQ(rig.decision.try_direct, kNoNode);
  EXPECT_EQ(rig.to(4), "1-2-4");
  EXPECT_EQ(rig.decision.try_direct, kNoNode);  // nobody can dial it
}

// The current path of a stream that began at time 0.
struct Current : testing::Test {
  DecideRig rig{five()};
  void SetUp() override {
    rig.up(2, 40);
    rig.up(3, 38);
    rig.request.current = rig.path({1, 2, 4});
    rig.request.current_since = MonoTime{0};
  }
};

TEST_F(Current, StaysWhenAnotherIsALittleBetter) {
  EXPECT_EQ(rig.to(4, 100'000), "1-2-4");
  EXPECT_EQ(rig.decision.choice, Choice::kept);
  EXPECT_LT(rig.decision.best_cost, rig.decision.current_cost);
  EXPECT_EQ(rig.all()[1], "1-3-4");
}

TEST_F(Current, YieldsToAMuchBetterOneAfterItsTime) {
  for (int i = 0; i < 60; ++i) rig.up(2, 400, 1000 + i);
  EXPECT_EQ(rig.to(4, 10'000), "1-2-4");
  EXPECT_EQ(rig.decision.choice, Choice::held);
  EXPECT_EQ(rig.to(4, 31'000), "1-3-4");
  EXPECT_EQ(rig.decision.choice, Choice::better);
}

TEST_F(Current, DoesNotFlapWhileTwoRelaysAlternate) {
  int switches = 0;
  for (int step = 0; step < 200; ++step) {
    const std::int64_t ms = 40'000 + step * 5'000;
    rig.up(2, step % 2 == 0 ? 40.0F : 30.0F, ms);
    rig.up(3, step % 2 == 0 ? 30.0F : 40.0F, ms);
    rig.to(4, ms);
    if (rig.out[0].path == rig.request.current) continue;
    ++switches;
    rig.request.current = rig.out[0].path;
    rig.request.current_since = MonoTime{ms};
  }
  EXPECT_EQ(switches, 0);
}

TEST_F(Current, IsLeftAtOnceWhenALinkIsDown) {
  rig.measurements.link_down(rig.n(2), Measurements::DownCause::lost, MonoTime{1000},
                             rig.directory.policy().decay);
  EXPECT_EQ(rig.to(4, 1001), "1-3-4");
  EXPECT_EQ(rig.decision.choice, Choice::forced);
  EXPECT_EQ(rig.decision.reason, Rule::link_down);
}

TEST_F(Current, IsLeftWhenTheFarLinkIsToldDown) {
  rig.told_down(2, 4, 1000);
  EXPECT_EQ(rig.to(4, 1001), "1-3-4");
  EXPECT_EQ(rig.decision.choice, Choice::forced);
}

TEST_F(Current, IsLeftWhenItLeadsElsewhereOrNowhere) {
  rig.request.current = rig.path({1, 2, 5});
  EXPECT_EQ(rig.to(4), "1-3-4");
  EXPECT_EQ(rig.decision.choice, Choice::forced);
  rig.request.current.nodes[1] = 5'000;
  EXPECT_EQ(rig.to(4), "1-3-4");
}

TEST_F(Current, GivesWayToAShortcutOnceThatHasProvedItself) {
  rig.request.current = rig.path({1, 2, 5});
  rig.told(2, 5, 5);
  rig.up(5, 20, 1000);
  EXPECT_EQ(rig.to(5, 2000), "1-2-5");
  EXPECT_EQ(rig.to(5, 7000), "1-5");
  EXPECT_EQ(rig.decision.choice, Choice::shortcut);
}

TEST(Decide, WithoutLikelyRelaysAllAreLookedAt) {
  // Sixteen relays of the own region that are too little trusted, one good one far away.
  std::vector<NodeEntry> nodes{node(1, 0)};
  for (unsigned i = 2; i < 40; ++i) {
    nodes.push_back(relay(i));
    nodes.back().trust = Trust::quarantined;
  }
  nodes.push_back(relay(50, "moon"));
  nodes.push_back(hidden(60, {50}));
  nodes.back().attached.clear();
  nodes.push_back(hidden(61, {}));
  DecideRig rig(mesh(nodes));
  rig.told(50, 60, 10);
  EXPECT_EQ(rig.to(60), "1-50-60");
  EXPECT_TRUE(rig.decision.wide);
  EXPECT_EQ(rig.to(61), "");
  EXPECT_EQ(rig.decision.reason, Rule::trust);
}

TEST(Decide, PathsFollowIntoANewerDirectory) {
  DecideRig before(five());
  DirectoryDoc doc = five();
  doc.nodes.push_back(node(0, 0));
  const Directory after = compiled(doc);
  const Path path = rebound(before.path({1, 2, 4}), before.directory, after);
  ASSERT_EQ(path.count, 3);
  EXPECT_EQ(after.id(path.nodes[1]), node_id(2));
  doc.nodes.erase(doc.nodes.begin() + 1);
  EXPECT_EQ(rebound(before.path({1, 2, 4}), before.directory, compiled(mesh({node(1, 0)}))).count,
            0);
}

}  // namespace
}  // namespace rap::routing
