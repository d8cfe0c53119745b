#include "fabric/ends/path_picker.hpp"

#include <gtest/gtest.h>

#include "tests/support/mesh_rig.hpp"

namespace rap::fabric {
namespace {

using net::milliseconds;
using routing::Role;
using test::at;
using test::node_id;
using Nodes = std::vector<std::string>;

const MeshTarget kService{MeshTarget::Kind::service, test::numbered("svc_", 1)};

// Entry 1, relays 2, 3, 4, service node 5 behind NAT, attached to all three.
RouteView view(routing::Measurements& measurements) {
  auto doc = test::mesh({test::node(1, mask(Role::entry_node)), test::relay(2), test::relay(3),
                         test::relay(4), test::hidden(5, {2, 3, 4})});
  routing::GroupEntry service;
  service.name = kService.id;
  service.members = {node_id(5)};
  service.organizations = {test::org_id(1)};
  doc.services.push_back(service);
  service.name = test::numbered("svc_", 3);
  service.members = {node_id(1)};
  doc.services.push_back(service);
  RouteView out;
  out.directory = std::make_shared<const routing::Directory>(test::compiled(std::move(doc)));
  const routing::Decay decay;
  for (unsigned n = 2; n <= 4; ++n) {
    const auto node = out.directory->find(node_id(n));
    measurements.link_up(node, routing::MonoTime{0});
    measurements.ping(node, static_cast<float>(10 * n), routing::MonoTime{0}, decay);
  }
  out.measurements = &measurements;
  return out;
}

WantedPath wanted() {
  return WantedPath{kService, test::org_id(1), routing::ChannelClass::interactive};
}

TEST(PathPicker, ExcludesWhoFailedAndStopsAfterThree) {
  routing::Measurements measurements;
  const RouteView now = view(measurements);
  PathPicker picker(wanted(), routing::MonoTime{0});
  EXPECT_EQ(*picker.next(now, at(0), nullptr), (Nodes{node_id(2), node_id(5)}));
  picker.failed(node_id(2));
  EXPECT_EQ(*picker.next(now, at(10), nullptr), (Nodes{node_id(3), node_id(5)}));
  picker.failed(node_id(77));  // not on the way: the first one is blamed
  EXPECT_EQ(*picker.next(now, at(20), nullptr), (Nodes{node_id(4), node_id(5)}));
  picker.failed("");
  EXPECT_EQ(picker.next(now, at(30), nullptr).error().code, Errc::unavailable);
  EXPECT_EQ(picker.tries(), 3u);
}

TEST(PathPicker, AFailedEndLeavesNoWay) {
  routing::Measurements measurements;
  const RouteView now = view(measurements);
  PathPicker picker(wanted(), routing::MonoTime{0});
  ASSERT_TRUE(picker.next(now, at(0), nullptr));
  picker.failed(node_id(5));
  const auto next = picker.next(now, at(1), nullptr);
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, Errc::unavailable);
  EXPECT_EQ(next.error().detail.find("nod_"), std::string::npos);
}

TEST(PathPicker, LeavesTimeForOtherWays) {
  routing::Measurements measurements;
  const RouteView now = view(measurements);
  PathPicker picker(wanted(), routing::MonoTime{0});
  EXPECT_EQ(picker.patience(at(0)), milliseconds(1600));
  EXPECT_EQ(picker.patience(at(4000)), milliseconds(1000));
  EXPECT_EQ(picker.patience(at(9000)), milliseconds(0));
  EXPECT_EQ(picker.next(now, at(5000), nullptr).error().code, Errc::timeout);
}

TEST(PathPicker, SaysWhyWithoutNames) {
  routing::Measurements measurements;
  const RouteView now = view(measurements);
  WantedPath other = wanted();
  other.organization = test::org_id(2);
  EXPECT_EQ(PathPicker(other, routing::MonoTime{0}).next(now, at(0), nullptr).error().code,
            Errc::forbidden);
  other = wanted();
  other.target.id = test::numbered("svc_", 2);
  EXPECT_EQ(PathPicker(other, routing::MonoTime{0}).next(now, at(0), nullptr).error().code,
            Errc::not_found);
}

TEST(PathPicker, ThisNodeMayBeTheEnd) {
  routing::Measurements measurements;
  const RouteView now = view(measurements);
  WantedPath own = wanted();
  own.target.id = test::numbered("svc_", 3);
  PathPicker picker(own, routing::MonoTime{0});
  const auto path = picker.next(now, at(0), nullptr);
  ASSERT_TRUE(path) << path.error().text();
  EXPECT_TRUE(path->empty());
}

TEST(PathPicker, BeginsWithWhatWorkedAndForgetsWhatDidNot) {
  routing::Measurements measurements;
  const RouteView now = view(measurements);
  routing::RouteCache cache(test::kCluster, node_id(1));
  const Nodes over3{node_id(3), node_id(5)};
  cache.good(route_key(wanted()), path_over(*now.directory, over3), *now.directory, at(0).wall);
  PathPicker picker(wanted(), routing::MonoTime{0});
  EXPECT_EQ(*picker.next(now, at(0), &cache), over3);
  picker.failed(node_id(3));
  EXPECT_EQ(*picker.next(now, at(1), &cache), (Nodes{node_id(2), node_id(5)}));
}

TEST(PathPicker, FollowsTheDirectoryBetweenTries) {
  routing::Measurements measurements, later_measurements;
  const RouteView now = view(measurements);
  PathPicker picker(wanted(), routing::MonoTime{0});
  ASSERT_TRUE(picker.next(now, at(0), nullptr));
  picker.failed(node_id(2));
  // Relay 2 has left the directory meanwhile, and so the indices of all others moved.
  auto doc = now.directory->doc();
  std::erase_if(doc.nodes, [](const auto& node) { return node.node_id == node_id(2); });
  for (auto& node : doc.nodes) std::erase(node.attached, node_id(2));
  RouteView later;
  later.directory = std::make_shared<const routing::Directory>(test::compiled(std::move(doc)));
  later_measurements = measurements.rebound(*now.directory, *later.directory);
  later.measurements = &later_measurements;
  EXPECT_EQ(*picker.next(later, at(1), nullptr), (Nodes{node_id(3), node_id(5)}));
}

}  // namespace
}  // namespace rap::fabric
