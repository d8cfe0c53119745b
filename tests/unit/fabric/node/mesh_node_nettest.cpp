// Whole nodes over loopback: real TCP, TLS, HTTP/2, directories as the control plane writes them.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/net/timer.hpp"
#include "fabric/node/mesh_node.hpp"
#include "fabric/routing/directory_doc.hpp"
#include "tests/support/mesh_exchange.hpp"
#include "tests/support/mesh_world.hpp"
#include "tests/support/run_task.hpp"

namespace rap::fabric {
namespace {

using net::milliseconds;
using net::Task;
using routing::Role;

constexpr routing::RoleMask kEntry = mask(Role::entry_node);
constexpr routing::RoleMask kRelay = mask(Role::relay_node);
constexpr routing::RoleMask kService = mask(Role::service);

// One node with its port, as the process around it would have it.
struct Member {
  unsigned number = 0;
  routing::RoleMask roles = 0;
  net::TlsIdentity identity;
  std::shared_ptr<net::Listener> port;
  std::unique_ptr<MeshNode> node;
  std::unique_ptr<net::TaskGroup> tasks;
};

// Entry 1, relays 2 and 3, the service on 4. Nodes can dial the relays only, so that every stream
// crosses one.
class MeshNodeTest : public ::testing::Test {
 protected:
  test::MeshWorld world;  // authority, keys, leases; none of its nodes
  std::vector<std::unique_ptr<Member>> members;
  std::filesystem::path caches;
  std::int64_t version = 1;
  std::vector<routing::OrganizationRule> rules;
  net::TaskGroup ending{world.io.get_executor()};

  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "rap-node-XXXXXX";
    caches = ::mkdtemp(pattern.data());
    for (const auto& [number, roles] : {std::pair{1u, kEntry}, {2u, kRelay}, {3u, kRelay}}) {
      add(number, roles);
    }
    add(4, kService);
    give_directories();
    for (auto& member : members) member->node->start();
  }

  void TearDown() override {
    test::run_task(world.io, ending.drain(milliseconds(2'000)));
    for (auto& member : members) {
      if (member->node) test::run_task(world.io, end(*member));
    }
    std::filesystem::remove_all(caches);
  }

  Member& at(unsigned number) { return *members[number - 1]; }

  void add(unsigned number, routing::RoleMask roles) {
    auto member = std::make_unique<Member>();
    member->number = number;
    member->roles = roles;
    member->identity = world.setup_of(number, roles).mesh;
    make(*member);
    members.push_back(std::move(member));
  }

  void make(Member& member) {
    MeshNodeSetup setup;
    setup.cluster_id = test::kCluster;
    setup.node_id = test::node_id(member.number);
    setup.seed = member.number;
    setup.caches = caches;
    setup.clock = &world.clock;
    setup.resume_clock = &world.resume_clock;
    setup.sessions = test::echo_sessions();
    setup.limits.resume = world.resume;
    setup.limits.tick = milliseconds(20);
    member.node = std::make_unique<MeshNode>(world.io.get_executor(), std::move(setup));
    MeshNode& node = *member.node;
    ASSERT_TRUE(node.set_identity(member.identity, world.ca.pem()));
    ASSERT_TRUE(node.set_lease_keys({world.lease_key}));
    if (member.roles == kEntry) {
      ASSERT_TRUE(node.set_entry(world.setup_of(member.number, kEntry).entry));
    }
    if (member.roles == kRelay) node.set_relaying(MeshNode::Relaying::yes);
    if (member.roles == kService) {
      ASSERT_TRUE(node.service_end().set_service(
          {world.service, world.organization, world.service_identity()}));
    }
    auto bound =
        net::Listener::bind(world.io.get_executor(), member.port ? member.port->local_address()
                                                                 : net::HostPort{"127.0.0.1", 0});
    ASSERT_TRUE(bound);
    member.port = std::move(*bound);
    member.tasks = std::make_unique<net::TaskGroup>(world.io.get_executor());
    member.tasks->spawn("accept", accept_loop(member));
  }

  Task<void> accept_loop(Member& member) {
    for (;;) {
      auto socket = co_await member.port->accept();
      member.tasks->spawn("serve", member.node->accept(std::move(socket)));
    }
  }

  // Its port, its links and its streams are gone from one moment to the next.
  Task<void> end(Member& member) {
    member.port->close();
    co_await member.node->drain(milliseconds(0));
    co_await member.tasks->drain(milliseconds(0));
    member.node.reset();
  }

  std::string directory_for(unsigned self, const std::set<unsigned>& gone) {
    std::vector<routing::NodeEntry> nodes;
    std::vector<unsigned> relays{2, 3};
    std::erase_if(relays, [&](unsigned relay) { return gone.contains(relay); });
    for (const auto& member : members) {
      if (gone.contains(member->number)) continue;
      const bool relay = member->roles == kRelay;
      auto entry = relay ? test::relay(member->number) : test::hidden(member->number, relays);
      entry.roles = static_cast<routing::RoleMask>(member->roles | mask(Role::core_mesh));
      entry.keys = {net::parse_certificate_pem(member->identity.certificate_pem)->spki_sha256};
      if (relay) entry.endpoints = {member->port->local_address().text()};
      nodes.push_back(std::move(entry));
    }
    auto doc = test::mesh(std::move(nodes));
    doc.node_id = test::node_id(self);
    doc.version = version;
    doc.issued_at = RealClock().now();
    doc.expires_at = doc.issued_at + std::chrono::hours(24);
    routing::GroupEntry service;
    service.name = world.service;
    service.members = {test::node_id(4)};
    service.organizations = {world.organization};
    doc.services.push_back(std::move(service));
    doc.policy.organizations = rules;
    return routing::to_json(doc);
  }

  void give_directories(const std::set<unsigned>& gone = {}) {
    ++version;
    for (const auto& member : members) {
      if (!member->node || gone.contains(member->number)) continue;
      const Status done = member->node->set_directory(directory_for(member->number, gone));
      ASSERT_TRUE(done) << done.error().text();
    }
  }

  template <typename Condition>
  bool wait_for(Condition condition) {
    for (int i = 0; i < 3'000 && !condition(); ++i) {
      test::run_task(world.io, net::sleep_for(milliseconds(10)));
    }
    return condition();
  }

  bool linked(unsigned a, unsigned b) {
    for (const LinkFacts& link : at(a).node->facts().links) {
      if (link.node_id == test::node_id(b) && link.state == LinkState::active) return true;
    }
    return false;
  }

  bool all_linked() { return linked(1, 2) && linked(1, 3) && linked(4, 2) && linked(4, 3); }

  net::ByteStreamPtr open() {
    MeshSessionOptions options = world.session();
    options.entries = {at(1).port->local_address().text()};
    auto stream = test::run_task(
        world.io, open_mesh_session(std::move(options), world.clock, world.resume_clock));
    EXPECT_TRUE(stream) << stream.error().text();
    return stream ? std::move(*stream) : nullptr;
  }

  unsigned relay_in_use() {
    for (const unsigned number : {2u, 3u}) {
      if (at(number).node && at(number).node->facts().streams.open > 0) return number;
    }
    return 0;
  }
};

TEST_F(MeshNodeTest, FindsItsPeersAndCarriesASessionToANodeThatNobodyCanDial) {
  ASSERT_TRUE(wait_for([&] { return all_linked(); })) << "it dials the relays";
  auto stream = open();
  ASSERT_TRUE(stream);
  const auto done = test::run_task(world.io, test::exchange(*stream, 4 << 20, {}));
  EXPECT_TRUE(done.same) << done.sent << " " << done.received;
  const auto relayed = [&](unsigned number) { return at(number).node->facts().streams.relayed; };
  EXPECT_EQ(at(1).node->facts().streams.entered, 1u);
  EXPECT_EQ(relayed(2) + relayed(3), 1u);
  EXPECT_EQ(at(4).node->facts().services.opened, 1u);
}

TEST_F(MeshNodeTest, ASessionSurvivesTheDeathOfItsRelay) {
  ASSERT_TRUE(wait_for([&] { return all_linked(); }));
  auto stream = open();
  ASSERT_TRUE(stream);
  bool killed = false;
  const auto done = test::run_task(world.io, test::exchange(*stream, 8 << 20, [&](std::size_t got) {
                                     const unsigned relay = relay_in_use();
                                     if (killed || got < (1 << 20) || relay == 0)
                                       return test::Then::go_on;
                                     killed = true;
                                     ending.spawn("end", end(at(relay)));
                                     return test::Then::go_on;
                                   }));
  EXPECT_TRUE(killed);
  EXPECT_TRUE(done.same) << done.sent << " " << done.received;
  EXPECT_EQ(at(4).node->facts().services.opened, 1u);
}

TEST_F(MeshNodeTest, ARevokedRelayIsCutByTheNextDirectoryAndTheSessionGoesOn) {
  ASSERT_TRUE(wait_for([&] { return all_linked(); }));
  auto stream = open();
  ASSERT_TRUE(stream);
  unsigned revoked = 0;
  const auto done = test::run_task(world.io, test::exchange(*stream, 8 << 20, [&](std::size_t got) {
                                     const unsigned relay = relay_in_use();
                                     if (revoked != 0 || got < (1 << 20) || relay == 0)
                                       return test::Then::go_on;
                                     revoked = relay;
                                     give_directories({relay});
                                     EXPECT_FALSE(linked(1, relay) || linked(4, relay))
                                         << "before set_directory returns";
                                     return test::Then::go_on;
                                   }));
  EXPECT_NE(revoked, 0u);
  EXPECT_TRUE(done.same) << done.sent << " " << done.received;
  EXPECT_FALSE(linked(4, revoked));
}

TEST_F(MeshNodeTest, AnOrganizationsLimitHoldsUntilThePolicyTakesItBack) {
  ASSERT_TRUE(wait_for([&] { return all_linked(); }));
  routing::OrganizationRule rule;
  rule.organization_id = world.organization;
  rule.streams_max = 1;
  rules = {rule};
  give_directories();
  const auto first = open();
  ASSERT_TRUE(first);
  MeshSessionOptions options = world.session();
  options.entries = {at(1).port->local_address().text()};
  options.timeout = milliseconds(1'500);
  auto second = test::run_task(
      world.io, open_mesh_session(std::move(options), world.clock, world.resume_clock));
  EXPECT_FALSE(second);
  rules.clear();
  give_directories();
  EXPECT_TRUE(open());
}

TEST_F(MeshNodeTest, WhatIsRelayedGoesOverToTheOtherRelayWhenTheRoleGoes) {
  ASSERT_TRUE(wait_for([&] { return all_linked(); }));
  at(2).node->set_relaying(MeshNode::Relaying::no);
  auto stream = open();
  ASSERT_TRUE(stream);
  EXPECT_EQ(relay_in_use(), 3u) << "the other one refuses";
  EXPECT_EQ(at(3).node->facts().streams.relaying, 1u);
  bool moved = false;
  const auto done = test::run_task(world.io, test::exchange(*stream, 8 << 20, [&](std::size_t got) {
                                     if (moved || got < (1 << 20)) return test::Then::go_on;
                                     moved = true;
                                     at(2).node->set_relaying(MeshNode::Relaying::yes);
                                     at(3).node->set_relaying(MeshNode::Relaying::no);
                                     at(3).node->cut_relayed();
                                     return test::Then::go_on;
                                   }));
  EXPECT_TRUE(moved);
  EXPECT_TRUE(done.same) << done.sent << " " << done.received;
  EXPECT_EQ(at(2).node->facts().streams.relayed, 1u);
  EXPECT_GT(at(3).node->facts().carried, 1u << 20);
}

TEST_F(MeshNodeTest, AStreamOfANodeItselfComesBackFromTheEchoOfAnother) {
  ASSERT_TRUE(wait_for([&] { return all_linked(); }));
  const auto own = [&](MeshTarget target) {
    return test::run_task(
        world.io, at(4).node->open_own(std::move(target), routing::ChannelClass::interactive));
  };
  // Over a relay: neither of the two can dial the other.
  auto stream = own({MeshTarget::Kind::node, test::node_id(1)});
  ASSERT_TRUE(stream) << stream.error().text();
  const auto done = test::run_task(world.io, test::exchange(**stream, 100'000, {}));
  EXPECT_TRUE(done.same) << done.sent << " " << done.received;
  EXPECT_EQ(own({MeshTarget::Kind::node, test::node_id(4)}).error().code, Errc::invalid);
  EXPECT_EQ(own({MeshTarget::Kind::node, test::node_id(9)}).error().code, Errc::not_found);
  EXPECT_EQ(own({MeshTarget::Kind::service, world.service}).error().code, Errc::unsupported);
}

TEST_F(MeshNodeTest, ItsLinksEndWithItsIdentity) {
  ASSERT_TRUE(wait_for([&] { return all_linked(); }));
  at(4).node->clear_identity();
  EXPECT_TRUE(wait_for([&] { return !linked(2, 4) && !linked(3, 4); }));
  EXPECT_TRUE(wait_for([&] { return at(4).node->facts().links.empty(); }));
}

TEST_F(MeshNodeTest, AfterARestartItFindsItsPeersWithoutWaitingToBeTold) {
  ASSERT_TRUE(wait_for([&] { return all_linked(); }));
  test::run_task(world.io, end(at(4)));
  EXPECT_TRUE(wait_for([&] { return !linked(2, 4) && !linked(3, 4); })) << "they were told";
  EXPECT_TRUE(std::filesystem::exists(caches / "peers"));
  make(at(4));
  ASSERT_TRUE(at(4).node->set_directory(directory_for(4, {})));
  at(4).node->start();
  EXPECT_TRUE(wait_for([&] { return all_linked(); }));
}

TEST_F(MeshNodeTest, WhoComesBeforeTheFirstDirectoryIsTurnedAwayForNow) {
  ASSERT_TRUE(wait_for([&] { return all_linked(); }));
  test::run_task(world.io, end(at(1)));
  make(at(1));
  MeshSessionOptions options = world.session();
  options.entries = {at(1).port->local_address().text()};
  const auto refused = test::run_task(
      world.io, open_mesh_session(std::move(options), world.clock, world.resume_clock));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::unavailable) << refused.error().text();
  ASSERT_TRUE(at(1).node->set_directory(directory_for(1, {})));
  at(1).node->start();
  ASSERT_TRUE(wait_for([&] { return all_linked(); }));
  EXPECT_TRUE(open());
}

TEST_F(MeshNodeTest, RefusesWhatIsNotForItAndKeepsWhatItHas) {
  MeshNode& node = *at(1).node;
  const auto code = [&](const std::string& text) { return node.set_directory(text).error().code; };
  EXPECT_EQ(code(directory_for(2, {})), Errc::mismatch);
  EXPECT_EQ(code("{}"), Errc::invalid);
  version = 1;
  EXPECT_EQ(code(directory_for(1, {})), Errc::rollback);
  EXPECT_EQ(node.facts().directory_version, 2);
  // A port without the role lets no person in, and a stranger's certificate is none of a node.
  at(1).node->clear_entry();
  MeshSessionOptions options = world.session();
  options.entries = {at(1).port->local_address().text()};
  options.timeout = milliseconds(1'000);
  EXPECT_FALSE(test::run_task(
      world.io, open_mesh_session(std::move(options), world.clock, world.resume_clock)));
  EXPECT_GT(node.facts().refused["tls"], 0u);
}

}  // namespace
}  // namespace rap::fabric
