#include "fabric/routing/rules.hpp"

#include <gtest/gtest.h>

#include "tests/support/mesh_rig.hpp"

namespace rap::routing {
namespace {

using namespace rap::test;

// 1 origin, 2 and 3 relays of the platform, 4 a relay of organization 1, 5 the destination.
DirectoryDoc five() {
  DirectoryDoc doc =
      mesh({node(1, mask(Role::entry_node)), relay(2), relay(3), relay(4), node(5, 0)});
  doc.nodes[3].owner = org_id(1);
  doc.nodes[3].serves = {{org_id(1)}};
  return doc;
}

struct RouteCheck {
  Directory directory;
  std::string target = node_id(5);
  Request request;

  explicit RouteCheck(DirectoryDoc doc, std::string organization = "")
      : directory(compiled(std::move(doc))), organization_(std::move(organization)) {
    request.cluster_id = directory.cluster_id();
    request.origin = directory.self();
    request.target = target;
    request.organization = organization_;
  }
  std::string verdict(const std::vector<unsigned>& numbers, std::int64_t ms = 0) {
    std::vector<NodeIndex> route;
    for (const unsigned number : numbers) route.push_back(directory.find(node_id(number)));
    const Status status = check_route(directory, request, route, at(ms));
    return status ? "passes" : status.error().text();
  }

 private:
  std::string organization_;
};

TEST(RouteCheck, GoodRoutesPass) {
  RouteCheck check(five());
  EXPECT_EQ(check.verdict({1, 5}), "passes");
  EXPECT_EQ(check.verdict({1, 2, 5}), "passes");
  EXPECT_EQ(check.verdict({1, 2, 3, 5}), "passes");
}

TEST(RouteCheck, HostileRoutes) {
  RouteCheck check(five());
  EXPECT_EQ(check.verdict({}), "malformed: route: want 2 to 5 nodes");
  EXPECT_EQ(check.verdict({1}), "malformed: route: want 2 to 5 nodes");
  EXPECT_EQ(check.verdict({1, 2, 3, 4, 5, 2}), "malformed: route: want 2 to 5 nodes");
  EXPECT_EQ(check.verdict({1, 2, 1}), "malformed: route: a loop over " + node_id(1));
  EXPECT_EQ(check.verdict({1, 2, 2, 5}), "malformed: route: a loop over " + node_id(2));
  EXPECT_EQ(check.verdict({1, 99, 5}), "malformed: route: an unknown node");
  EXPECT_EQ(check.verdict({2, 1, 5}), "forbidden: route: " + node_id(1) + " is not a relay");
  check.request.cluster_id = "cls_another";
  EXPECT_NE(check.verdict({1, 5}).find("foreign-cluster"), std::string::npos);
}

TEST(RouteCheck, ACustomersNodeCarriesItsOwnStreamsOnly) {
  EXPECT_EQ(RouteCheck(five(), org_id(1)).verdict({1, 4, 5}), "passes");
  for (const std::string& other : {org_id(2), std::string()}) {
    EXPECT_NE(RouteCheck(five(), other).verdict({1, 4, 5}).find("organization"), std::string::npos)
        << other;
  }
}

TEST(RouteCheck, ACustomersNodeEndsItsOwnAndThePlatformsStreams) {
  EXPECT_EQ(RouteCheck(five(), org_id(1)).verdict({1, 2, 4}), "passes");
  EXPECT_EQ(RouteCheck(five(), "").verdict({1, 2, 4}), "passes");
  EXPECT_NE(RouteCheck(five(), org_id(2)).verdict({1, 2, 4}), "passes");
}

TEST(RouteCheck, DedicatedNodesServeTheirOrganizations) {
  DirectoryDoc doc = five();
  doc.nodes[1].serves = {{org_id(1), org_id(2)}};
  EXPECT_EQ(RouteCheck(doc, org_id(2)).verdict({1, 2, 5}), "passes");
  EXPECT_NE(RouteCheck(doc, org_id(3)).verdict({1, 2, 5}), "passes");
  EXPECT_EQ(RouteCheck(doc, "").verdict({1, 2, 5}), "passes");
}

TEST(RouteCheck, RulesOfAnOrganization) {
  DirectoryDoc doc = five();
  doc.nodes[1].region = "us";
  doc.nodes[2].trust = Trust::low;
  OrganizationRule rule;
  rule.organization_id = org_id(1);
  const auto verdict = [&](const std::vector<unsigned>& route) {
    doc.policy.organizations = {rule};
    return RouteCheck(doc, org_id(1)).verdict(route);
  };
  rule.regions = {"eu"};
  EXPECT_NE(verdict({1, 2, 5}).find("region"), std::string::npos);
  EXPECT_EQ(verdict({1, 3, 5}), "passes");
  rule.regions = {"nowhere"};
  EXPECT_NE(verdict({1, 5}).find("region"), std::string::npos);
  rule = {org_id(1), {}, Trust::normal, kRelaysMax, false};
  EXPECT_NE(verdict({1, 3, 5}).find("trust"), std::string::npos);
  rule = {org_id(1), {}, Trust::low, 0, false};
  EXPECT_NE(verdict({1, 2, 5}).find("relay-limit"), std::string::npos);
  rule = {org_id(1), {}, Trust::low, kRelaysMax, true};
  EXPECT_NE(verdict({1, 2, 5}).find("own-relays"), std::string::npos);
  EXPECT_EQ(verdict({1, 4, 5}), "passes");
}

TEST(RouteCheck, DrainingQuarantineAndClass) {
  DirectoryDoc doc = five();
  doc.nodes[1].draining = true;
  doc.nodes[2].trust = Trust::quarantined;
  doc.nodes[3].owner.clear();
  doc.nodes[3].serves.reset();
  doc.nodes[3].classes = mask(ChannelClass::bulk);
  RouteCheck check(doc);
  EXPECT_NE(check.verdict({1, 2, 5}).find("draining"), std::string::npos);
  EXPECT_NE(check.verdict({1, 3, 5}).find("trust"), std::string::npos);
  EXPECT_NE(check.verdict({1, 4, 5}).find("channel-class"), std::string::npos);
  check.request.channel_class = ChannelClass::bulk;
  EXPECT_EQ(check.verdict({1, 4, 5}), "passes");
}

TEST(RouteCheck, AgeOfTheDirectory) {
  constexpr std::int64_t kHour = 3'600'000;
  DirectoryDoc doc = five();
  EXPECT_EQ(RouteCheck(doc).verdict({1, 5}, 2 * kHour), "passes");  // the control plane is away
  EXPECT_NE(RouteCheck(doc).verdict({1, 5}, 74 * kHour).find("stale"), std::string::npos);
  doc.policy.when_stale = Conduct::existing_only;
  RouteCheck check(doc);
  EXPECT_NE(check.verdict({1, 5}, kHour).find("stale"), std::string::npos);
  check.request.purpose = Purpose::existing_stream;
  EXPECT_EQ(check.verdict({1, 5}, kHour), "passes");
}

TEST(RouteCheck, AnIsolatedAuthorityCarriesOnWhatExists) {
  DirectoryDoc doc = five();
  doc.authority = AuthorityState::isolated;
  RouteCheck check(doc);
  EXPECT_NE(check.verdict({1, 5}).find("isolated"), std::string::npos);
  check.request.purpose = Purpose::existing_stream;
  EXPECT_EQ(check.verdict({1, 5}), "passes");
  doc.policy.when_isolated = Conduct::stop;
  RouteCheck stopped(doc);
  stopped.request.purpose = Purpose::existing_stream;
  EXPECT_NE(stopped.verdict({1, 5}), "passes");
  doc.policy.when_isolated = Conduct::go_on;
  EXPECT_EQ(RouteCheck(doc).verdict({1, 5}), "passes");
}

}  // namespace
}  // namespace rap::routing
