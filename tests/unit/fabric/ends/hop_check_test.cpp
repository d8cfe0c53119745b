#include "fabric/ends/hop_check.hpp"

#include <gtest/gtest.h>

#include "tests/support/mesh_rig.hpp"

namespace rap::fabric {
namespace {

using routing::ChannelClass;
using routing::Directory;
using routing::Role;
using test::node_id;

const MeshTarget kService{MeshTarget::Kind::service, test::numbered("svc_", 1)};

// Entry 1, relays 2 and 3, service node 4, a node 5 without any role; relay 6 is org 2's own.
class HopCheckTest : public ::testing::Test {
 protected:
  Bytes key = random_bytes(32);
  LeaseKey verify_key{lease_key_id(*lease_public_key(key)), *lease_public_key(key)};
  CarryVerifier leases = *CarryVerifier::create(test::kCluster, {verify_key});
  routing::Moment now = test::at(1000);

  Directory directory_of(unsigned self) const {
    auto relay6 = test::relay(6);
    relay6.owner = test::org_id(2);
    relay6.serves = {test::org_id(2)};
    auto doc = test::mesh({test::node(1, mask(Role::entry_node)), test::relay(2), test::relay(3),
                           test::node(4, mask(Role::service)), test::node(5, 0), relay6});
    doc.node_id = node_id(self);
    routing::GroupEntry service;
    service.name = kService.id;
    service.members = {node_id(4)};
    service.organizations = {test::org_id(1)};
    doc.services.push_back(service);
    return test::compiled(std::move(doc));
  }
  CarryClaims claims() const {
    CarryClaims out;
    out.issuer = test::kCluster;
    out.target = kService;
    out.user_id = "usr_1";
    out.organization_id = test::org_id(1);
    out.session_id = "ses_1";
    out.issued_at = to_unix_seconds(now.wall);
    out.expires_at = out.issued_at + 3600;
    return out;
  }
  MeshRequest request(const std::vector<unsigned>& path, const CarryClaims& c) const {
    MeshRequest out;
    out.target = c.target;
    out.carry = *mint_carry_lease(c, key);
    for (const unsigned n : path) out.path.push_back(node_id(n));
    return out;
  }
  Result<Hop> check(unsigned self, unsigned from, const MeshRequest& asked) const {
    const Directory directory = directory_of(self);
    return check_hop(directory, leases, asked, directory.find(node_id(from)), now);
  }
  Errc refused(unsigned self, unsigned from, const MeshRequest& asked) const {
    const auto hop = check(self, from, asked);
    EXPECT_FALSE(hop);
    return hop ? Errc::internal : hop.error().code;
  }
};

TEST_F(HopCheckTest, ARelaySendsTheRestOn) {
  const MeshRequest asked = request({2, 3, 4}, claims());
  const auto hop = check(2, 1, asked);
  ASSERT_TRUE(hop) << hop.error().text();
  EXPECT_FALSE(hop->end);
  EXPECT_EQ(hop->next, node_id(3));
  EXPECT_EQ(hop->onward.path, (std::vector<std::string>{node_id(3), node_id(4)}));
  EXPECT_EQ(hop->organization, test::org_id(1));
  const auto second = check(3, 2, hop->onward);
  ASSERT_TRUE(second) << second.error().text();
  const auto last = check(4, 3, second->onward);
  ASSERT_TRUE(last) << last.error().text();
  EXPECT_TRUE(last->end);
  EXPECT_EQ(last->service, kService.id);
}

TEST_F(HopCheckTest, RefusesPathsThatAreNotOnes) {
  EXPECT_EQ(refused(2, 1, request({3, 4}, claims())), Errc::mismatch);  // not for this node
  EXPECT_EQ(refused(2, 1, request({2, 5}, claims())), Errc::mismatch);  // ends elsewhere
  EXPECT_EQ(refused(2, 1, request({2, 1, 4}, claims())),
            Errc::malformed);  // back where it came from
  EXPECT_EQ(refused(2, 1, request({2, 77}, claims())), Errc::not_found);
  EXPECT_EQ(refused(5, 1, request({5, 4}, claims())), Errc::forbidden);  // not a relay
  EXPECT_EQ(refused(2, 5, request({2, 4}, claims())), Errc::forbidden);  // nobody's entry
  EXPECT_EQ(refused(6, 1, request({6, 4}, claims())), Errc::forbidden);  // another organization's
}

TEST_F(HopCheckTest, RefusesLeasesThatAreNotForIt) {
  MeshRequest asked = request({2, 4}, claims());
  asked.target.id = test::numbered("svc_", 2);
  EXPECT_EQ(refused(2, 1, asked), Errc::mismatch);
  asked = request({2, 4}, claims());
  asked.channel_class = ChannelClass::bulk;
  EXPECT_EQ(refused(2, 1, asked), Errc::forbidden);
  asked = request({2, 4}, claims());
  asked.trace = true;
  EXPECT_EQ(refused(2, 1, asked), Errc::forbidden);
  CarryClaims old = claims();
  old.issued_at -= 7200;
  old.expires_at -= 7200;
  EXPECT_EQ(refused(2, 1, request({2, 4}, old)), Errc::expired);
}

TEST_F(HopCheckTest, ATraceAndANodesOwnStreamEndInEcho) {
  CarryClaims trace = claims();
  trace.verb = CarryVerb::trace;
  trace.session_id.clear();
  MeshRequest asked = request({4}, trace);
  asked.trace = true;
  auto hop = check(4, 1, asked);
  ASSERT_TRUE(hop) << hop.error().text();
  EXPECT_TRUE(hop->echo);

  MeshRequest own;
  own.target = {MeshTarget::Kind::node, node_id(4)};
  own.path = {node_id(2), node_id(4)};
  ASSERT_TRUE(check(2, 5, own));
  own.path = {node_id(4)};
  hop = check(4, 5, own);
  ASSERT_TRUE(hop) << hop.error().text();
  EXPECT_TRUE(hop->echo);
  own.target.id = node_id(3);
  EXPECT_EQ(refused(4, 5, own), Errc::mismatch);
}

}  // namespace
}  // namespace rap::fabric
