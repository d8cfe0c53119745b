#include "fabric/routing/score.hpp"

#include <gtest/gtest.h>

#include "tests/support/mesh_rig.hpp"

namespace rap::routing {
namespace {

using namespace rap::test;

struct ScoreTest : testing::Test {
  Directory directory =
      compiled(mesh({node(1, mask(Role::entry_node)), relay(2), relay(3, "us"), node(4, 0, "us")}));
  Measurements measurements;
  NodeIndex self = directory.self();
  Decay decay = directory.policy().decay;

  NodeIndex n(unsigned number) { return directory.find(node_id(number)); }
  Scorer scorer(std::int64_t ms = 0, ChannelClass c = ChannelClass::interactive) {
    return Scorer(directory, measurements, c, self, at(ms));
  }
  std::vector<TermValue> explain(const Path& path, std::int64_t ms = 0) {
    std::vector<TermValue> out(kTermsMax);
    out.resize(scorer(ms).explain(path, out));
    return out;
  }
  Path over(std::vector<unsigned> numbers) {
    Path path;
    for (const unsigned number : numbers) path.push(n(number));
    return path;
  }
};

const TermValue& find(const std::vector<TermValue>& terms, Term term, NodeIndex b) {
  for (const TermValue& value : terms) {
    if (value.term == term && (value.b == b || (value.b == kNoNode && value.a == b))) return value;
  }
  throw std::runtime_error("no such term");
}

TEST_F(ScoreTest, TermsSumUpToWhatTheEngineCompares) {
  measurements.link_up(n(2), MonoTime{0});
  measurements.ping(n(2), 12, MonoTime{0}, decay);
  measurements.dial_failed(n(4), MonoTime{0}, decay);
  Report report;
  report.rtt_ms = 90;
  report.kbps = 500;
  ASSERT_TRUE(measurements.told(n(2), n(3), report, MonoTime{0}, MonoTime{0}, decay));
  for (const Path& path : {over({1, 4}), over({1, 2, 4}), over({1, 2, 3, 4})}) {
    for (const std::int64_t ms : {0, 100'000, 400'000, 4'000'000}) {
      float sum = 0;
      for (const TermValue& value : explain(path, ms)) sum += value.contribution;
      EXPECT_FLOAT_EQ(sum, scorer(ms).path_cost(path));
    }
  }
}

TEST_F(ScoreTest, UnknownIsShownAsUnknownAndChargedItsPrice) {
  const auto terms = explain(over({1, 4}));
  const TermValue& latency = find(terms, Term::latency, n(4));
  EXPECT_FALSE(latency.known);
  EXPECT_EQ(latency.confidence, 0);
  EXPECT_EQ(latency.contribution, directory.policy().unknown.latency);
  EXPECT_FALSE(find(terms, Term::loss, n(4)).known);
  EXPECT_FALSE(find(terms, Term::bandwidth, n(4)).known);
  EXPECT_TRUE(find(terms, Term::region, n(4)).known);
}

TEST_F(ScoreTest, AFadingFigureMovesTowardsThePriceOfNotKnowing) {
  measurements.ping(n(4), 10, MonoTime{0}, decay);
  const auto contribution = [&](std::int64_t ms) {
    return find(explain(over({1, 4}), ms), Term::latency, n(4)).contribution;
  };
  EXPECT_FLOAT_EQ(contribution(60'000), 10);
  EXPECT_FLOAT_EQ(contribution(330'000), 35);  // half of 10, half of 60
  EXPECT_FLOAT_EQ(contribution(600'000), 60);
}

TEST_F(ScoreTest, ALinkThatIsUpNeedsNoSetup) {
  const float before = scorer().link_cost(self, n(2));
  measurements.link_up(n(2), MonoTime{0});
  // The handshake, and reliability from its price to known and good.
  EXPECT_FLOAT_EQ(before - scorer().link_cost(self, n(2)), 30 + 10);
}

TEST_F(ScoreTest, EachInputOfTheSeedMatters) {
  const float base = scorer().path_cost(over({1, 2, 4}));
  const auto dearer = [&](auto change) {
    Measurements before = measurements;
    change();
    const float now = scorer().path_cost(over({1, 2, 4}));
    measurements = before;
    return now > base;
  };
  EXPECT_TRUE(dearer([&] { measurements.ping(n(2), 500, MonoTime{0}, decay); })) << "latency";
  EXPECT_TRUE(dearer([&] {
    for (int i = 0; i < 9; ++i) measurements.ping_lost(n(2), MonoTime{0});
  })) << "loss";
  EXPECT_TRUE(dearer([&] { measurements.bandwidth(n(2), 300, MonoTime{0}); })) << "bandwidth";
  EXPECT_TRUE(dearer([&] { measurements.dial_failed(n(2), MonoTime{0}, decay); })) << "failures";
  EXPECT_TRUE(dearer([&] { ASSERT_TRUE(measurements.told_load(n(2), 900, MonoTime{0})); }))
      << "load";
  const auto with = [&](auto change) {
    DirectoryDoc doc = directory.doc();
    change(doc);
    const Directory other = compiled(doc);
    return Scorer(other, measurements, ChannelClass::interactive, self, at(0))
        .path_cost(over({1, 2, 4}));
  };
  EXPECT_GT(with([](auto& d) {
              d.nodes[1].region = "us";
              d.nodes[3].region = "eu";
            }),
            base);
  EXPECT_GT(with([](auto& d) { d.nodes[1].roles |= mask(Role::service); }), base) << "role";
  EXPECT_GT(with([](auto& d) { d.nodes[1].trust = Trust::low; }), base) << "trust";
  EXPECT_GT(with([](auto& d) { d.nodes[1].avoid = 5; }), base) << "policy";
  EXPECT_GT(with([](auto& d) { d.policy.interactive.hop = 5000; }), base) << "weight";
}

TEST_F(ScoreTest, BulkMindsBandwidthInteractiveMindsLatency) {
  measurements.ping(n(2), 5, MonoTime{0}, decay);  // near and narrow
  measurements.bandwidth(n(2), 2'000, MonoTime{0});
  measurements.ping(n(3), 45, MonoTime{0}, decay);  // far and wide
  measurements.bandwidth(n(3), 1'000'000, MonoTime{0});
  const Scorer keys = scorer(0, ChannelClass::interactive);
  const Scorer files = scorer(0, ChannelClass::bulk);
  EXPECT_LT(keys.link_cost(self, n(2)), keys.link_cost(self, n(3)));
  EXPECT_GT(files.link_cost(self, n(2)), files.link_cost(self, n(3)));
}

TEST_F(ScoreTest, TheDirectorysLoadAgesFromItsIssueAndReportsAreNewer) {
  EXPECT_FLOAT_EQ(scorer().load(n(2)).value, 0.1F);
  EXPECT_EQ(scorer().load(n(2)).confidence, 1);
  EXPECT_FALSE(scorer(300'000).load(n(2)).known());
  ASSERT_TRUE(measurements.told_load(n(2), 800, MonoTime{300'000}));
  EXPECT_FLOAT_EQ(scorer(300'000).load(n(2)).value, 0.8F);
}

}  // namespace
}  // namespace rap::routing
