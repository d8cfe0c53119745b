#include "fabric/peers/peer_set.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "tests/support/mesh_rig.hpp"

namespace rap::peers {
namespace {

using namespace rap::test;
using routing::NodeEntry;
using routing::Role;

std::vector<NodeEntry> world(NodeEntry self) {
  std::vector<NodeEntry> out{std::move(self)};
  for (unsigned i = 2; i < 42; ++i) out.push_back(relay(i, i % 4 == 0 ? "us" : "eu"));
  for (unsigned i = 42; i < 82; ++i) out.push_back(node(i, 0, i % 4 == 0 ? "us" : "eu"));
  return out;
}

// Drives one peer set; by default every dial succeeds at once.
struct Rig {
  explicit Rig(std::vector<NodeEntry> nodes, std::uint64_t seed = 1)
      : directory(compiled(mesh(std::move(nodes)))), set(seed) {
    set.directory_changed(nullptr, directory, directory.self(), at(now), actions);
  }

  unsigned number(NodeIndex index) const {
    return static_cast<unsigned>(std::stoul(std::string(directory.id(index).substr(4))));
  }
  NodeIndex n(unsigned node) const { return directory.find(node_id(node)); }

  // One second of life after another. Actions of all of them stay in `log`.
  void run(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      now += 1000;
      actions.clear();
      set.tick(directory, measurements, at(now), actions);
      for (const Action& action : actions) {
        log.push_back(action);
        if (action.kind != ActionKind::dial) continue;
        if (answers(number(action.node))) {
          set.link_up(directory, action.node, Direction::outbound, MonoTime{now});
          measurements.link_up(action.node, MonoTime{now});
        } else {
          set.dial_failed(action.node, PeerSet::DialError::failed, MonoTime{now});
          measurements.dial_failed(action.node, MonoTime{now}, directory.policy().decay);
        }
      }
      most_active = std::max(most_active, set.active());
    }
  }
  void lose(NodeIndex node) {
    set.link_down(directory, node, PeerSet::DownCause::lost, MonoTime{now});
    measurements.link_down(node, routing::Measurements::DownCause::lost, MonoTime{now},
                           directory.policy().decay);
  }
  std::set<NodeIndex> active() const {
    std::set<NodeIndex> out;
    for (const Peer& peer : set.peers()) {
      if (peer.state == PeerState::active) out.insert(peer.node);
    }
    return out;
  }
  std::size_t relays() const {
    const auto all = active();
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [&](NodeIndex i) { return directory.has(i, Role::relay_node); }));
  }
  std::size_t regions() const {
    std::set<int> out;
    for (const NodeIndex i : active()) out.insert(directory.region(i));
    return out.size();
  }
  std::vector<Action> of(ActionKind kind) const {
    std::vector<Action> out;
    std::copy_if(log.begin(), log.end(), std::back_inserter(out),
                 [&](const Action& a) { return a.kind == kind; });
    return out;
  }

  routing::Directory directory;
  routing::Measurements measurements;
  PeerSet set;
  std::function<bool(unsigned)> answers = [](unsigned) { return true; };
  std::int64_t now = 0;
  std::vector<Action> actions, log;
  std::size_t most_active = 0;
};

TEST(PeerSet, SettlesAtTheSizesOfItsKind) {
  struct Kind {
    NodeEntry self;
    std::size_t rest, high, relays;
  };
  NodeEntry thin = node(1, 0);
  thin.thin = true;
  for (const Kind& kind :
       {Kind{node(1, 0), 4, 5, 2}, Kind{relay(1), 12, 20, 6}, Kind{thin, 2, 3, 1}}) {
    Rig rig(world(kind.self));
    EXPECT_EQ(rig.set.health(), Health::isolated);
    rig.run(3);
    EXPECT_GE(rig.set.active(), rig.set.sizes().low);
    rig.run(60);
    EXPECT_EQ(rig.set.active(), kind.rest);
    EXPECT_EQ(rig.set.health(), Health::steady);
    EXPECT_GE(rig.relays(), kind.relays);
    rig.run(3000);
    EXPECT_LE(rig.most_active, kind.high);
    EXPECT_GE(rig.set.active(), kind.rest);
  }
}

TEST(PeerSet, IsNotAllInOneRegion) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Rig rig(world(node(1, 0)), seed);
    rig.run(60);
    EXPECT_EQ(rig.regions(), 2u) << seed;
  }
}

TEST(PeerSet, KeepsToTheNearWhenThereIsNothingElse) {
  Rig rig({node(1, 0), relay(2), relay(3), relay(4), relay(5)});
  rig.run(60);
  EXPECT_EQ(rig.set.active(), 4u);
}

TEST(PeerSet, ReplacesALostPeerWithinSeconds) {
  Rig rig(world(node(1, 0)));
  rig.run(60);
  const auto before = rig.active();
  rig.lose(*before.begin());
  rig.lose(*std::next(before.begin()));
  EXPECT_EQ(rig.set.health(), Health::filling);
  rig.run(2);
  EXPECT_GE(rig.set.active(), 3u);
  EXPECT_EQ(rig.active().count(*before.begin()), 0u);  // it has a pause before it
}

TEST(PeerSet, BacksOffFromThoseThatDoNotAnswer) {
  Rig rig({node(1, 0), relay(2)});
  rig.answers = [](unsigned) { return false; };
  rig.run(600);
  const std::size_t dials = rig.of(ActionKind::dial).size();
  // 1, 2, 4, 8, 16 and then about 30 s: nobody else is there.
  EXPECT_GT(dials, 15u);
  EXPECT_LT(dials, 40u);
  rig.answers = [](unsigned) { return true; };
  rig.run(50);
  EXPECT_EQ(rig.set.active(), 1u);
}

TEST(PeerSet, AFleetIsSpreadOverTime) {
  std::set<std::int64_t> first_dial;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Rig rig({node(1, 0), relay(2)}, seed);
    rig.answers = [](unsigned) { return false; };
    rig.run(12);
    const Peer* peer = &rig.set.peers()[0];
    first_dial.insert(peer->retry_at.count());
  }
  EXPECT_GT(first_dial.size(), 40u);
}

TEST(PeerSet, RecoversInOrderCachedActiveThenWarmThenColdThenBootstrap) {
  auto nodes = world(node(1, 0));
  for (unsigned i = 200; i < 203; ++i) {
    nodes.push_back(relay(i, "moon"));
    nodes.back().bootstrap = true;
  }
  Rig rig(nodes);
  const RememberedPeer remembered[] = {{node_id(70), PeerState::active},
                                       {node_id(71), PeerState::active},
                                       {node_id(72), PeerState::warm},
                                       {node_id(999), PeerState::active}};
  rig.set.remember(rig.directory, remembered);
  rig.answers = [](unsigned number) { return number >= 200; };
  rig.run(300);
  const auto dials = rig.of(ActionKind::dial);
  ASSERT_GT(dials.size(), 4u);
  EXPECT_EQ(dials[0].why, Why::remembered);
  EXPECT_EQ(dials[1].why, Why::remembered);
  EXPECT_EQ((std::set<unsigned>{rig.number(dials[0].node), rig.number(dials[1].node)}),
            (std::set<unsigned>{70, 71}));
  EXPECT_EQ(rig.number(dials[2].node), 72u);  // the only warm one
  EXPECT_GT(rig.set.active(), 0u);
}

TEST(PeerSet, BootstrapNodesAreTheLastResort) {
  auto nodes = world(node(1, 0));
  for (unsigned i = 100; i < 400; ++i) nodes.push_back(relay(i));
  nodes.push_back(relay(900, "moon"));
  nodes.back().bootstrap = true;
  Rig rig(nodes);
  rig.answers = [](unsigned number) { return number == 900; };
  rig.run(600);
  EXPECT_EQ(rig.active(), std::set<NodeIndex>{rig.n(900)});
  const auto dials = rig.of(ActionKind::dial);
  const auto last_resort = std::find_if(dials.begin(), dials.end(),
                                        [](const Action& a) { return a.why == Why::last_resort; });
  const auto reached = std::find_if(dials.begin(), dials.end(),
                                    [&](const Action& a) { return a.node == rig.n(900); });
  EXPECT_LE(last_resort - dials.begin(), reached - dials.begin());
  EXPECT_GT(reached - dials.begin(), 10);
}

TEST(PeerSet, WhatItRemembersIsWhatItHad) {
  Rig rig(world(node(1, 0)));
  rig.run(60);
  const auto remembered = rig.set.remembered(rig.directory);
  std::size_t active = 0;
  for (const RememberedPeer& peer : remembered) active += peer.state == PeerState::active ? 1 : 0;
  EXPECT_EQ(active, 4u);
  EXPECT_EQ(remembered.size(), 4u + rig.set.sizes().warm);
}

TEST(PeerSet, LetsInWhileThereIsRoom) {
  Rig rig(world(node(1, 0)));
  rig.run(60);
  ASSERT_EQ(rig.set.active(), 4u);
  std::vector<NodeIndex> strangers;
  for (unsigned i = 2; i < 82; ++i) {
    if (rig.active().count(rig.n(i)) == 0) strangers.push_back(rig.n(i));
  }
  EXPECT_EQ(rig.set.admit(rig.directory, strangers[0]), Admission::peer);
  rig.set.link_up(rig.directory, strangers[0], Direction::inbound, MonoTime{rig.now});
  EXPECT_EQ(rig.set.admit(rig.directory, strangers[1]), Admission::full);
  EXPECT_EQ(rig.set.admit(rig.directory, strangers[0]), Admission::peer);
  // It is enough now: a lost one is replaced only down to where it rests.
  rig.lose(*rig.active().begin());
  rig.run(30);
  EXPECT_EQ(rig.set.active(), 4u);
}

TEST(PeerSet, LetsInNobodyWhoIsNotTrusted) {
  auto nodes = world(relay(1));
  nodes.push_back(hidden(100, {1}));
  nodes.back().trust = routing::Trust::quarantined;
  Rig rig(nodes);
  EXPECT_EQ(rig.set.admit(rig.directory, rig.n(100)), Admission::foreign);
}

TEST(PeerSet, ARelayCountsItsLeavesApart) {
  auto nodes = world(relay(1));
  for (unsigned i = 100; i < 500; ++i) nodes.push_back(hidden(i, {1}));
  Rig rig(nodes);
  rig.run(60);
  for (unsigned i = 100; i < 356; ++i) {
    ASSERT_EQ(rig.set.admit(rig.directory, rig.n(i)), Admission::leaf);
    rig.set.link_up(rig.directory, rig.n(i), Direction::inbound, MonoTime{rig.now});
  }
  EXPECT_EQ(rig.set.admit(rig.directory, rig.n(400)), Admission::full);
  EXPECT_EQ(rig.set.active(), 12u);
  EXPECT_EQ(rig.set.leaves().size(), 256u);
  rig.lose(rig.n(100));
  EXPECT_EQ(rig.set.admit(rig.directory, rig.n(400)), Admission::leaf);
}

TEST(PeerSet, MakesRoomForARelayThatIsMissing) {
  Rig rig(
      {node(1, 0), node(2, 0), node(3, 0), node(4, 0), node(5, 0), node(6, 0), relay(7), relay(8)});
  rig.answers = [](unsigned number) { return number < 7; };
  rig.run(100);
  for (unsigned i = 2; i < 7; ++i) {
    if (rig.set.active() < 5) {
      rig.set.link_up(rig.directory, rig.n(i), Direction::inbound, MonoTime{rig.now});
    }
  }
  ASSERT_EQ(rig.set.active(), 5u);
  rig.answers = [](unsigned) { return true; };
  rig.run(600);
  EXPECT_EQ(rig.relays(), 2u);
  EXPECT_LE(rig.most_active, 5u);
}

TEST(PeerSet, DropsWhoIsGoneOrNotTrustedAndReplacesWhoDrains) {
  auto nodes = world(node(1, 0));
  Rig rig(nodes);
  rig.run(60);
  const auto active = rig.active();
  std::vector<unsigned> numbers;
  for (const NodeIndex i : active) numbers.push_back(rig.number(i));
  std::erase_if(nodes, [&](const NodeEntry& e) { return e.node_id == node_id(numbers[0]); });
  for (NodeEntry& entry : nodes) {
    if (entry.node_id == node_id(numbers[1])) entry.trust = routing::Trust::quarantined;
    if (entry.node_id == node_id(numbers[2])) entry.draining = true;
  }
  const routing::Directory after = compiled(mesh(nodes));
  std::vector<Action> out;
  rig.set.directory_changed(&rig.directory, after, after.self(), at(rig.now), out);
  ASSERT_EQ(out.size(), 1u);  // the channel to who is gone closes by itself
  EXPECT_EQ(after.id(out[0].node), node_id(numbers[1]));
  EXPECT_EQ(out[0].why, Why::gone);
  rig.measurements = rig.measurements.rebound(rig.directory, after);
  rig.directory = after;
  rig.run(60);
  EXPECT_EQ(rig.set.active(), 4u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rig.active().count(rig.n(numbers[i])), 0u) << i;
  const auto drops = rig.of(ActionKind::drop);
  EXPECT_TRUE(std::any_of(drops.begin(), drops.end(),
                          [](const Action& a) { return a.why == Why::draining; }));
}

TEST(PeerSet, ADirectoryWithOtherLoadsOnlyChangesNothing) {
  auto nodes = world(node(1, 0));
  Rig rig(nodes);
  rig.run(60);
  const auto known = [&] {
    std::vector<NodeIndex> out;
    for (const Peer& peer : rig.set.peers()) out.push_back(peer.node);
    return out;
  };
  const auto before = known();
  for (NodeEntry& entry : nodes) entry.load_permille = 700;
  const routing::Directory busier = compiled(mesh(nodes));
  EXPECT_EQ(busier.membership(), rig.directory.membership());
  std::vector<Action> out;
  rig.set.directory_changed(&rig.directory, busier, busier.self(), at(rig.now), out);
  EXPECT_EQ(known(), before);
  EXPECT_TRUE(out.empty());
}

TEST(PeerSet, TriesOthersNowAndThenAndKeepsTheBetter) {
  Rig rig(world(node(1, 0)));
  rig.run(60);
  const auto before = rig.active();
  // Those it has turn slow; whoever is tried answers fast.
  std::set<NodeIndex> slow = before;
  for (int i = 0; i < 400; ++i) {
    for (const NodeIndex node : rig.active()) {
      rig.measurements.ping(node, slow.count(node) > 0 ? 400.0F : 5.0F, MonoTime{rig.now},
                            rig.directory.policy().decay);
    }
    rig.run(20);
  }
  std::size_t still_slow = 0;
  for (const NodeIndex node : rig.active()) still_slow += slow.count(node);
  EXPECT_LE(still_slow, 1u);
  EXPECT_LE(rig.most_active, 5u);
}

TEST(PeerSet, DoesNotChurnWhenAllAreAlike) {
  Rig rig(world(node(1, 0)));
  rig.run(60);
  const auto before = rig.active();
  rig.log.clear();
  for (int i = 0; i < 360; ++i) {
    for (const NodeIndex node : rig.active()) {
      rig.measurements.ping(node, 20, MonoTime{rig.now}, rig.directory.policy().decay);
    }
    rig.run(20);  // two hours in all
  }
  for (const NodeIndex node : before) EXPECT_EQ(rig.active().count(node), 1u);
  EXPECT_LE(rig.of(ActionKind::dial).size(), 24u);  // trials only
}

TEST(PeerSet, WhatItKnowsStaysBounded) {
  Rig rig(world(node(1, 0)));
  rig.run(10);
  const std::size_t most =
      std::size_t{rig.set.sizes().cold} + rig.set.sizes().warm + rig.set.sizes().high;
  for (unsigned round = 0; round < 500; ++round) {
    const NodeIndex node = rig.n(2 + round % 80);
    if (rig.set.admit(rig.directory, node) == Admission::peer) {
      rig.set.link_up(rig.directory, node, Direction::inbound, MonoTime{rig.now});
    }
    rig.run(1);
    rig.lose(node);
    ASSERT_LE(rig.set.peers().size(), most);
  }
}

// Events in any order, also such that cannot be: nothing breaks, and the bounds hold.
TEST(PeerSet, HoldsItsBoundsWhateverHappens) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Random random(seed);
    NodeEntry self = seed % 3 == 0 ? relay(1) : node(1, 0);
    self.thin = seed % 3 == 1;
    auto nodes = world(self);
    for (unsigned i = 100; i < 120; ++i) nodes.push_back(hidden(i, {2}));
    nodes[5].bootstrap = true;
    Rig rig(nodes, seed);
    const auto high = rig.set.sizes().high;
    for (int step = 0; step < 400; ++step) {
      rig.now += static_cast<std::int64_t>(random.next() % 3000);
      const auto any = static_cast<NodeIndex>(1 + random.next() % (rig.directory.size() - 1));
      const MonoTime time{rig.now};
      switch (random.next() % 8) {
        case 0:
          if (rig.set.admit(rig.directory, any) < Admission::full) {
            rig.set.link_up(rig.directory, any, Direction::inbound, time);
          }
          break;
        case 1:
          rig.set.link_down(rig.directory, any, PeerSet::DownCause::lost, time);
          break;
        case 2:
          rig.set.link_down(rig.directory, any, PeerSet::DownCause::graceful, time);
          break;
        case 3:
          rig.set.dial_failed(any, PeerSet::DialError::full, time);
          break;
        case 4: {
          NodeEntry& entry = nodes[1 + random.next() % (nodes.size() - 1)];
          entry.draining = !entry.draining && !entry.bootstrap;
          if (random.next() % 4 == 0) entry.trust = routing::Trust::quarantined;
          std::vector<NodeEntry> some = nodes;
          if (random.next() % 2 == 0) some.erase(some.begin() + 10 + random.next() % 60);
          const routing::Directory next = compiled(mesh(some));
          std::vector<Action> out;
          rig.set.directory_changed(&rig.directory, next, next.self(), at(rig.now), out);
          rig.measurements = rig.measurements.rebound(rig.directory, next);
          rig.directory = next;
          break;
        }
        default: {
          std::vector<Action> out;
          rig.set.tick(rig.directory, rig.measurements, at(rig.now), out);
          for (const Action& action : out) {
            if (action.kind != ActionKind::dial || random.next() % 3 == 0) continue;
            if (random.next() % 3 == 0) {
              rig.set.dial_failed(action.node, PeerSet::DialError::failed, time);
            } else {
              rig.set.link_up(rig.directory, action.node, Direction::outbound, time);
            }
          }
        }
      }
      const auto& sizes = rig.set.sizes();
      ASSERT_LE(rig.set.active(), high) << seed << " " << step;
      ASSERT_LE(rig.set.leaves().size(), sizes.attached_max);
      ASSERT_LE(rig.set.peers().size(),
                2u * (sizes.cold + sizes.warm) + sizes.high + rig.directory.bootstraps().size());
    }
  }
}

TEST(PeerSet, ADialNobodyReportsOnEnds) {
  Rig rig({node(1, 0), relay(2)});
  rig.actions.clear();
  for (int i = 0; i < 4 && rig.actions.empty(); ++i) {
    rig.now += 1000;
    rig.set.tick(rig.directory, rig.measurements, at(rig.now), rig.actions);
    std::erase_if(rig.actions, [](const Action& a) { return a.kind != ActionKind::dial; });
  }
  ASSERT_EQ(rig.actions.size(), 1u);
  ASSERT_EQ(rig.set.count(PeerState::dialling), 1u);
  rig.run(40);
  EXPECT_EQ(rig.set.active(), 1u);
}

}  // namespace
}  // namespace rap::peers
