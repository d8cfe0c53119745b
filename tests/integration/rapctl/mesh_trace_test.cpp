// `rapctl mesh trace`: the program itself, through a real entry and relay.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tests/integration/rapctl/rapctl_process.hpp"

namespace rap::test {
namespace {

namespace json = boost::json;

class MeshTraceTest : public ::testing::Test {
 protected:
  MeshPlane plane;

  json::array traces(RapctlProcess& rapctl) {
    const auto value = json::parse(rapctl.output());
    return value.is_array() ? value.as_array() : value.at("items").as_array();
  }
};

TEST_F(MeshTraceTest, ShowsTheHopsToANodeByItsName) {
  RapctlProcess rapctl(plane, {"mesh", "trace", "--to", "node-3"});
  for (const char* node : {"node-1", "node-2", "node-3"}) {
    EXPECT_TRUE(rapctl.sees(node)) << rapctl.output();
  }
  EXPECT_EQ(rapctl.ended(), 0) << rapctl.output();
  EXPECT_EQ(plane.traced, 1);
}

TEST_F(MeshTraceTest, FollowsASessionToItsServiceAndMeasures) {
  plane.fate = json::serialize(json::object{{"state", "active"},
                                            {"cluster_id", kCluster},
                                            {"organization_id", plane.world.organization},
                                            {"node_id", node_id(3)}});
  RapctlProcess rapctl(plane, {"mesh", "trace", "--to", plane.session, "-c", "25", "-o", "json"});
  ASSERT_EQ(rapctl.ended(), 0) << rapctl.output();
  const json::array all = traces(rapctl);
  ASSERT_EQ(all.size(), 1u);
  const json::object& one = all[0].as_object();
  EXPECT_EQ(one.at("entry").as_string(), plane.entries[0]);
  EXPECT_TRUE(one.at("error").is_null());
  const json::array& hops = one.at("hops").as_array();
  ASSERT_EQ(hops.size(), 3u);
  for (unsigned n = 1; n <= 3; ++n) {
    EXPECT_EQ(hops[n - 1].at("node_id").as_string(), node_id(n));
    EXPECT_GE(hops[n - 1].at("round_trip_ms").as_double(), 0);
  }
  EXPECT_EQ(one.at("echo").at("count").as_int64(), 25);
  EXPECT_GT(one.at("echo").at("p50_ms").as_double(), 0);
  EXPECT_GE(one.at("echo").at("p99_ms").as_double(), one.at("echo").at("p50_ms").as_double());
  EXPECT_EQ(plane.world.node(3).server().counts().ended, 1u);
  EXPECT_EQ(plane.hellos, 0) << "the session is left alone";
}

TEST_F(MeshTraceTest, SaysWhichEntryCannotBeReached) {
  const std::string gone = "127.0.0.1:1";  // nobody's
  plane.entries.insert(plane.entries.begin(), gone);
  RapctlProcess one(plane, {"mesh", "trace", "--to", node_id(2), "-o", "json"});
  EXPECT_EQ(one.ended(), 0) << one.output();
  const json::array all = traces(one);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].at("error").at("code").as_string(), "unavailable");
  EXPECT_EQ(all[1].at("hops").as_array().size(), 2u);

  plane.entries = {gone};
  RapctlProcess none(plane, {"mesh", "trace", "--to", node_id(2)});
  EXPECT_EQ(none.ended(), 7);
  EXPECT_NE(none.output().find(gone), std::string::npos) << none.output();
}

TEST_F(MeshTraceTest, ARelayThatIsGoneIsNoWay) {
  plane.world.node(2).kill();
  RapctlProcess rapctl(plane, {"mesh", "trace", "--to", plane.world.service});
  EXPECT_EQ(rapctl.ended(), 7);
  EXPECT_NE(rapctl.output().find("no way"), std::string::npos) << rapctl.output();
}

}  // namespace
}  // namespace rap::test
