#include "fabric/routing/replay.hpp"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/fabric/routing/decide_rig.hpp"

namespace rap::routing {
namespace {

using namespace rap::test;

TEST(Replay, ADecisionFromItsRecordIsTheSame) {
  std::mt19937 random(7);
  const auto some = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  for (int round = 0; round < 30; ++round) {
    std::vector<NodeEntry> nodes{node(1, 0)};
    for (unsigned i = 2; i < 12; ++i) nodes.push_back(relay(i, some(2) == 0 ? "eu" : "us"));
    for (unsigned i = 12; i < 20; ++i) nodes.push_back(hidden(i, {2 + some(5), 7 + some(5)}));
    DirectoryDoc doc = mesh(nodes);
    doc.services = {{"echo", {node_id(13), node_id(14), node_id(2)}, std::nullopt}};
    DecideRig rig(doc);
    for (int i = 0; i < 6; ++i) rig.up(2 + some(10), static_cast<float>(some(1000)) / 7);
    for (int i = 0; i < 20; ++i) {
      rig.told(2 + some(10), 12 + some(8), static_cast<float>(some(1000)) / 3);
    }
    for (int i = 0; i < 5; ++i) {
      (void)rig.measurements.told_load(2 + some(8), static_cast<std::uint16_t>(some(1000)),
                                       MonoTime{0});
    }
    rig.measurements.dial_failed(rig.n(2 + some(10)), MonoTime{500}, rig.directory.policy().decay);
    const NodeIndex without = 1 + some(10);
    rig.request.excluded_nodes = {&without, 1};
    const Link cut{1 + some(10), 12 + some(6)};
    rig.request.excluded_links = {&cut, 1};
    rig.request.channel_class = some(2) == 0 ? ChannelClass::bulk : ChannelClass::interactive;
    rig.request.current = rig.path({1, 2 + some(10), 13});
    rig.request.current_since = MonoTime{some(1000)};
    rig.decide(some(2) == 0 ? TargetKind::service : TargetKind::node,
               rig.request.kind == TargetKind::node ? node_id(13) : "echo", 90'000);

    const std::string text =
        record_decision(rig.directory, rig.measurements, rig.request, at(90'000));
    const auto recorded = RecordedDecision::parse(text);
    ASSERT_TRUE(recorded) << recorded.error().text();
    std::array<Candidate, 8> out;
    const Decision again = recorded->decide(out);
    ASSERT_EQ(again.count, rig.decision.count);
    EXPECT_EQ(again.choice, rig.decision.choice);
    EXPECT_EQ(again.reason, rig.decision.reason);
    EXPECT_EQ(again.try_direct, rig.decision.try_direct);
    for (std::size_t i = 0; i < again.count; ++i) {
      EXPECT_EQ(out[i].path, rig.out[i].path);
      EXPECT_EQ(out[i].cost, rig.out[i].cost);
    }
    EXPECT_EQ(record_decision(recorded->directory(), recorded->measurements(), recorded->request(),
                              recorded->now()),
              text);
  }
}

TEST(Replay, RefusesWhatIsNoRecord) {
  DecideRig rig(mesh({node(1, 0), node(2, 0)}));
  rig.up(2, 5);
  rig.to(2);
  const std::string good = record_decision(rig.directory, rig.measurements, rig.request, at(0));
  ASSERT_TRUE(RecordedDecision::parse(good));
  const auto with = [&](std::string_view what, std::string_view by) {
    std::string text = good;
    const std::size_t place = text.find(what);
    if (place == text.npos) throw std::runtime_error("not in the record");
    return RecordedDecision::parse(text.replace(place, what.size(), by)).has_value();
  };
  EXPECT_TRUE(with("\"now_ms\":0", "\"now_ms\":5"));
  EXPECT_FALSE(with("\"now_ms\":0", "\"now_ms\":null"));
  EXPECT_FALSE(with("\"format\":1,\"directory\"", "\"format\":2,\"directory\""));
  EXPECT_FALSE(with("\"peer\":\"nod_", "\"peer\":\"xod_"));
  EXPECT_FALSE(with("\"state\":\"up\"", "\"state\":\"open\""));
  EXPECT_FALSE(with("\"kind\":\"node\"", "\"kind\":\"nodes\""));
  EXPECT_FALSE(with("\"rtt_ms\":[", "\"rtt_ms\":[1,"));
  EXPECT_FALSE(RecordedDecision::parse(""));
  EXPECT_FALSE(RecordedDecision::parse("[]"));
}

}  // namespace
}  // namespace rap::routing
