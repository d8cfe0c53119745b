// Who is refused at the entry, on the way and inside, and what a client hears of it.
#include <gtest/gtest.h>

#include "base/net/timer.hpp"
#include "tests/support/mesh_world.hpp"
#include "tests/support/run_task.hpp"

namespace rap::fabric {
namespace {

using net::milliseconds;
using net::Task;
using routing::Role;

// Entry 1, relay 2, the service on 3.
class RefusalsTest : public ::testing::Test {
 protected:
  test::MeshWorld world;

  void SetUp() override {
    world.add(1, mask(Role::entry_node));
    world.add(2, mask(Role::relay_node));
    world.add(3, mask(Role::service), test::echo_sessions());
    world.start();
  }

  Result<net::ByteStreamPtr> open(MeshSessionOptions options) {
    options.timeout = milliseconds(3'000);
    return test::run_task(world.io,
                          open_mesh_session(std::move(options), world.clock, world.resume_clock));
  }
  Error refused(MeshSessionOptions options) {
    const auto stream = open(std::move(options));
    EXPECT_FALSE(stream);
    if (stream) return {};
    // Neither a node nor where it is.
    const std::string& detail = stream.error().detail;
    EXPECT_EQ(detail.find("nod_"), std::string::npos) << detail;
    for (const unsigned n : {2, 3}) {
      EXPECT_EQ(detail.find(world.node(n).mesh_address()), std::string::npos) << detail;
    }
    return stream.error();
  }
};

TEST_F(RefusalsTest, ACarryLeaseMustHold) {
  ASSERT_TRUE(open(world.session()));
  MeshSessionOptions options = world.session();
  options.identity = net::make_self_signed_identity("thief", std::chrono::hours(1));
  EXPECT_EQ(refused(options).code, Errc::mismatch);

  CarryClaims claims = world.carry_claims();
  claims.issued_at -= 2 * kCarryLifeMaxS;
  claims.expires_at -= 2 * kCarryLifeMaxS;
  options = world.session();
  options.carry.lease = world.mint(claims);
  EXPECT_EQ(refused(options).code, Errc::expired);

  options = world.session();
  options.channel_class = routing::ChannelClass::bulk;
  EXPECT_EQ(refused(options).code, Errc::forbidden);

  options = world.session();
  char& changed = options.carry.lease[options.carry.lease.size() - 5];
  changed = changed == 'A' ? 'B' : 'A';
  EXPECT_EQ(refused(options).code, Errc::bad_signature);
}

TEST_F(RefusalsTest, AnotherOrganizationsServiceAndOneThatIsNot) {
  CarryClaims claims = world.carry_claims();
  claims.organization_id = test::org_id(2);
  MeshSessionOptions options = world.session();
  options.carry.lease = world.mint(claims);
  EXPECT_EQ(refused(options).code, Errc::forbidden);

  claims = world.carry_claims();
  claims.target.id = test::numbered("svc_", 7);
  options = world.session();
  options.service = claims.target.id;
  options.carry.lease = world.mint(claims);
  EXPECT_EQ(refused(options).code, Errc::not_found);
}

TEST_F(RefusalsTest, AWayThatCannotBeHadIsOneSentence) {
  world.node(2).kill();
  EXPECT_EQ(refused(world.session()).code, Errc::unavailable);
  EXPECT_GE(world.node(1).server().counts().retried, 1u);
}

TEST_F(RefusalsTest, TheSessionLeaseIsReadInsideAndOnce) {
  MeshSessionOptions options = world.session();
  ASSERT_TRUE(open(options));
  EXPECT_EQ(refused(options).code, Errc::conflict);

  LeaseClaims claims = world.session_claims();
  claims.audience = service_spiffe(test::kCluster, test::numbered("svc_", 2));
  options = world.session();
  options.lease = world.mint(claims);
  EXPECT_EQ(refused(options).code, Errc::mismatch);

  claims = world.session_claims();
  claims.organization_id = test::org_id(2);
  options = world.session();
  options.lease = world.mint(claims);
  EXPECT_EQ(refused(options).code, Errc::mismatch);

  claims = world.session_claims();
  claims.client_certificate_sha256 = sha256(std::string_view("another client"));
  options = world.session();
  options.lease = world.mint(claims);
  EXPECT_EQ(refused(options).code, Errc::mismatch);

  options = world.session();
  options.lease = options.carry.lease;
  EXPECT_EQ(refused(options).code, Errc::unsupported);
  const auto counts = world.node(3).service_end().counts();
  EXPECT_EQ(counts.refused.at("mismatch"), 3u);
  EXPECT_EQ(counts.pending, 0u);
}

TEST_F(RefusalsTest, AnEntryOfAnotherClusterIsNotBelieved) {
  const test::TestCa other("another cluster CA");
  MeshSessionOptions options = world.session();
  options.cluster_ca_pem = other.pem();
  EXPECT_EQ(refused(options).code, Errc::mismatch);
  // A node's certificate is not an entry's.
  options = world.session();
  options.entries = {world.node(2).mesh_address()};
  const auto stream = open(options);
  EXPECT_FALSE(stream);
}

TEST_F(RefusalsTest, OptionsAreChecked) {
  MeshSessionOptions options = world.session();
  options.entries.clear();
  EXPECT_EQ(refused(options).code, Errc::invalid);
  options = world.session();
  options.service = "svc_1";
  EXPECT_EQ(refused(options).code, Errc::invalid);
  options = world.session();
  options.lease.clear();
  EXPECT_EQ(refused(options).code, Errc::invalid);
}

}  // namespace
}  // namespace rap::fabric
