#include "fabric/routing/route_cache.hpp"

#include <gtest/gtest.h>

#include "fabric/routing/sealed_text.hpp"
#include "tests/unit/fabric/routing/decide_rig.hpp"

namespace rap::routing {
namespace {

using namespace rap::test;

struct RouteCacheTest : testing::Test {
  DecideRig rig{mesh({node(1, mask(Role::entry_node)), relay(2), relay(3), hidden(4, {2, 3})})};
  RouteCache cache{kCluster, node_id(1)};
  RouteKey key{TargetKind::node, ChannelClass::interactive, node_id(4), ""};

  Result<RouteCache> again(const std::string& text) {
    return RouteCache::load(text, kCluster, node_id(1), kIssued);
  }
};

TEST_F(RouteCacheTest, GivesTheLastGoodPathAfterARestart) {
  cache.good(key, rig.path({1, 2, 4}), rig.directory, kIssued);
  cache.good(key, rig.path({1, 3, 4}), rig.directory, kIssued);
  cache.good({TargetKind::service, ChannelClass::bulk, "echo", org_id(1)}, rig.path({1, 2, 4}),
             rig.directory, kIssued);
  const auto loaded = again(cache.save());
  ASSERT_TRUE(loaded) << loaded.error().text();
  EXPECT_EQ(loaded->size(), 2u);
  EXPECT_EQ(loaded->save(), cache.save());
  EXPECT_EQ(rig.text(loaded->find(key, rig.directory, kIssued)), "1-3-4");
  // As the current path it decides, although nothing has been measured.
  rig.request.current = loaded->find(key, rig.directory, kIssued);
  EXPECT_EQ(rig.to(4), "1-3-4");
  EXPECT_EQ(rig.decision.choice, Choice::kept);
}

TEST_F(RouteCacheTest, KnowsNothingOfNodesThatAreGoneOrOfLongAgo) {
  cache.good(key, rig.path({1, 2, 4}), rig.directory, kIssued);
  EXPECT_EQ(cache.find(key, compiled(mesh({node(1, 0), node(4, 0)})), kIssued).count, 0);
  EXPECT_EQ(cache.find(key, rig.directory, kIssued + kRouteAgeMax + std::chrono::seconds(1)).count,
            0);
  RouteKey other = key;
  other.organization = org_id(1);
  EXPECT_EQ(cache.find(other, rig.directory, kIssued).count, 0);  // organizations share nothing
}

TEST_F(RouteCacheTest, ForgetsAPathThatFailedButNotABetterOne) {
  cache.good(key, rig.path({1, 3, 4}), rig.directory, kIssued);
  cache.bad(key, rig.path({1, 2, 4}), rig.directory);
  EXPECT_EQ(cache.size(), 1u);
  cache.bad(key, rig.path({1, 3, 4}), rig.directory);
  EXPECT_EQ(cache.size(), 0u);
}

TEST_F(RouteCacheTest, IsBoundedTheOldestGoesAndTheFileFits) {
  for (unsigned i = 0; i <= kRoutesMax; ++i) {
    key.target = "service-" + std::to_string(i) + std::string(50, 'x');
    key.organization = org_id(i);
    cache.good(key, rig.path({1, 2, 3, 4}), rig.directory, kIssued + std::chrono::seconds(i));
  }
  EXPECT_EQ(cache.size(), kRoutesMax);
  EXPECT_TRUE(again(cache.save())) << cache.save().size();
  key.target = "service-0" + std::string(50, 'x');
  key.organization = org_id(0);
  EXPECT_EQ(cache.find(key, rig.directory, kIssued).count, 0);
}

TEST_F(RouteCacheTest, EveryFlippedBitAndCutIsNoticed) {
  cache.good(key, rig.path({1, 2, 4}), rig.directory, kIssued);
  const std::string good = cache.save();
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(again(bad)) << i;
    EXPECT_FALSE(again(good.substr(0, i))) << i;
  }
  EXPECT_FALSE(again(good + "\n"));
}

TEST_F(RouteCacheTest, HostileBodiesWithAGoodChecksum) {
  const std::string head = "cluster " + kCluster + "\nnode " + node_id(1) + "\n";
  const std::string path = " 2026-11-21T19:37:37Z echo " + node_id(1) + " " + node_id(2) + "\n";
  const auto code = [&](const std::string& body) {
    const auto loaded = again(seal_text("rap-routes", body));
    return loaded ? "loaded" : std::string(name(loaded.error().code));
  };
  EXPECT_EQ(code(head), "loaded");
  EXPECT_EQ(code(head + "route service bulk -" + path), "loaded");
  EXPECT_EQ(code(head + "route service bulk -" + path + "route service bulk -" + path),
            "malformed");
  EXPECT_EQ(code(""), "mismatch");
  EXPECT_EQ(code("cluster x\nnode y\n"), "mismatch");
  EXPECT_EQ(code(head + "rout service bulk -" + path), "malformed");
  EXPECT_EQ(code(head + "route services bulk -" + path), "malformed");
  EXPECT_EQ(code(head + "route service fast -" + path), "malformed");
  EXPECT_EQ(code(head + "route service bulk org_1" + path), "malformed");
  EXPECT_EQ(code(head + "route service bulk - yesterday echo a b\n"), "malformed");
  EXPECT_EQ(code(head + "route service bulk - 2026-11-21T19:37:37Z echo x y\n"), "malformed");
  EXPECT_EQ(code(head + "route service bulk - 2026-11-21T19:37:37Z echo " + node_id(1) + "\n"),
            "malformed");
  EXPECT_EQ(code(head + "route service bulk -"), "malformed");
  std::string longest = "route service bulk - 2026-11-21T19:37:37Z echo";
  for (unsigned i = 0; i < 6; ++i) longest += " " + node_id(i);
  EXPECT_EQ(code(head + longest + "\n"), "malformed");
  EXPECT_EQ(again(std::string(kRouteFileBytesMax + 1, 'x')).error().code, Errc::too_large);
}

}  // namespace
}  // namespace rap::routing
