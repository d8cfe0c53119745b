#include "fabric/routing/measurements.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/mesh_rig.hpp"

namespace rap::routing {
namespace {

using namespace rap::test;
using Ms = MonoTime;

constexpr Decay kDecay{.own_fresh_ms = 1000,
                       .own_stale_ms = 5000,
                       .told_fresh_ms = 1000,
                       .told_stale_ms = 3000,
                       .failure_ms = 10'000,
                       .down_ms = 2000};

TEST(Measurements, WhatWasNeverMeasuredIsUnknown) {
  const Measurements measurements;
  const LinkView view = measurements.link(0, 0, 1, Ms{5}, kDecay);
  EXPECT_EQ(view.state, LinkState::unknown);
  EXPECT_FALSE(view.rtt_ms.known());
  EXPECT_FALSE(view.loss_permille.known());
  EXPECT_FALSE(view.kbps.known());
  EXPECT_FALSE(view.failed_permille.known());
  EXPECT_FALSE(measurements.load(1, Ms{5}, kDecay).known());
}

TEST(Measurements, AFigureFadesAndIsUnknownWhenStale) {
  Measurements measurements;
  ASSERT_TRUE(measurements.ping(1, 20, Ms{0}, kDecay));
  const auto rtt = [&](int ms) { return measurements.link(0, 0, 1, Ms{ms}, kDecay).rtt_ms; };
  EXPECT_EQ(rtt(1000).confidence, 1);
  EXPECT_EQ(rtt(3000).confidence, 0.5F);
  EXPECT_EQ(rtt(3000).value, 20);
  EXPECT_FALSE(rtt(5000).known());
  // A clock that went back: the figure is not older than new.
  EXPECT_EQ(rtt(-100).confidence, 1);
}

TEST(Measurements, RoundTripsAreSmoothedAndBeginAgainAfterAPause) {
  Measurements measurements;
  measurements.ping(1, 80, Ms{0}, kDecay);
  measurements.ping(1, 160, Ms{100}, kDecay);
  EXPECT_FLOAT_EQ(measurements.own(1)->rtt_ms.value, 90);
  measurements.ping(1, 10, Ms{6000}, kDecay);
  EXPECT_FLOAT_EQ(measurements.own(1)->rtt_ms.value, 10);
}

TEST(Measurements, OneLostPingOfManyShows) {
  Measurements measurements;
  for (int i = 0; i < 20; ++i) measurements.ping(1, 5, Ms{i}, kDecay);
  measurements.ping_lost(1, Ms{20});
  EXPECT_FLOAT_EQ(measurements.own(1)->loss_permille.value, 62.5F);
}

TEST(Measurements, FiguresOutOfRangeAreIgnored) {
  Measurements measurements;
  for (const float bad :
       {-1.0F, 60'001.0F, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    EXPECT_FALSE(measurements.ping(1, bad, Ms{0}, kDecay));
    Report report;
    report.rtt_ms = bad;
    EXPECT_EQ(measurements.told(1, 2, report, Ms{0}, Ms{0}, kDecay).error().code, Errc::invalid);
  }
  EXPECT_FALSE(measurements.bandwidth(1, -5, Ms{0}));
  EXPECT_EQ(measurements.told(3, 3, {}, Ms{0}, Ms{0}, kDecay).error().code, Errc::invalid);
  EXPECT_EQ(measurements.told_load(1, 1001, Ms{0}).error().code, Errc::invalid);
  EXPECT_EQ(measurements.told_count(), 0u);
}

TEST(Measurements, ALinkThatWentDownIsTriedAgainLater) {
  Measurements measurements;
  measurements.link_up(1, Ms{0});
  EXPECT_EQ(measurements.link(0, 0, 1, Ms{1}, kDecay).up_since, Ms{0});
  measurements.link_down(1, Measurements::DownCause::lost, Ms{100}, kDecay);
  EXPECT_EQ(measurements.link(0, 0, 1, Ms{101}, kDecay).state, LinkState::down);
  EXPECT_EQ(measurements.link(0, 0, 1, Ms{2100}, kDecay).state, LinkState::unknown);
  const LinkView view = measurements.link(0, 0, 1, Ms{5100}, kDecay);
  EXPECT_FLOAT_EQ(view.failures.value, 0.5F);  // half forgiven
}

TEST(Measurements, AGoodbyeIsNoFailure) {
  Measurements measurements;
  measurements.link_up(1, Ms{0});
  measurements.link_down(1, Measurements::DownCause::graceful, Ms{100}, kDecay);
  const LinkView view = measurements.link(0, 0, 1, Ms{101}, kDecay);
  EXPECT_EQ(view.state, LinkState::unknown);
  EXPECT_EQ(view.failures.value, 0);
}

TEST(Measurements, FailuresAddUpAndAreBounded) {
  Measurements measurements;
  for (int i = 0; i < 100; ++i) measurements.dial_failed(1, Ms{i}, kDecay);
  EXPECT_EQ(measurements.own(1)->failures.value, 8);
  EXPECT_GT(measurements.own(1)->failed_permille.value, 999);
}

TEST(Measurements, ReportsAreSymmetricNewestWinsAndAgeFromTheirOwnTime) {
  Measurements measurements;
  Report report;
  report.rtt_ms = 30;
  ASSERT_TRUE(measurements.told(1, 2, report, Ms{100}, Ms{500}, kDecay));
  report.rtt_ms = 99;
  EXPECT_EQ(measurements.told(2, 1, report, Ms{100}, Ms{500}, kDecay).error().code,
            Errc::rollback);  // duplicated or reordered
  EXPECT_EQ(measurements.link(0, 2, 1, Ms{500}, kDecay).rtt_ms.value, 30);
  EXPECT_EQ(measurements.link(0, 2, 1, Ms{2100}, kDecay).rtt_ms.confidence, 0.5F);
  // A reporter whose clock is ahead is not believed for longer.
  ASSERT_TRUE(measurements.told(1, 2, report, Ms{900'000}, Ms{600}, kDecay));
  EXPECT_FALSE(measurements.link(0, 1, 2, Ms{3600}, kDecay).rtt_ms.known());
}

TEST(Measurements, ReportsNeverSpeakOfOwnLinks) {
  Measurements measurements;
  Report report;
  report.state = LinkState::down;
  ASSERT_TRUE(measurements.told(0, 1, report, Ms{0}, Ms{0}, kDecay));
  EXPECT_EQ(measurements.link(0, 0, 1, Ms{1}, kDecay).state, LinkState::unknown);
  EXPECT_EQ(measurements.link(5, 0, 1, Ms{1}, kDecay).state, LinkState::down);
}

TEST(Measurements, AFloodOfReportsIsBounded) {
  Measurements measurements;
  for (NodeIndex i = 0; i < kToldMax; ++i) {
    ASSERT_TRUE(measurements.told(i, i + 1, {}, Ms{10}, Ms{10}, kDecay));
  }
  EXPECT_EQ(measurements.told(1, 99'999, {}, Ms{20}, Ms{20}, kDecay).error().code, Errc::exhausted);
  EXPECT_TRUE(measurements.told(3, 4, {}, Ms{20}, Ms{20}, kDecay));  // known pairs go on
  // Later the stale ones make room.
  EXPECT_TRUE(measurements.told(1, 99'999, {}, Ms{4000}, Ms{4000}, kDecay));
  EXPECT_LE(measurements.told_count(), 2u);
}

TEST(Measurements, FollowNodesIntoANewerDirectory) {
  const Directory before = compiled(mesh({node(1, 0), node(3, 0), node(5, 0), node(7, 0)}));
  const Directory after = compiled(mesh({node(1, 0), node(2, 0), node(5, 0), node(7, 0)}));
  Measurements measurements;
  measurements.ping(before.find(node_id(3)), 3, Ms{0}, kDecay);
  measurements.ping(before.find(node_id(5)), 5, Ms{0}, kDecay);
  ASSERT_TRUE(measurements.told_load(before.find(node_id(7)), 700, Ms{0}));
  Report report;
  report.rtt_ms = 57;
  ASSERT_TRUE(measurements.told(before.find(node_id(5)), before.find(node_id(7)), report, Ms{0},
                                Ms{0}, kDecay));
  const Measurements moved = measurements.rebound(before, after);
  EXPECT_EQ(moved.own_links().size(), 1u);
  ASSERT_NE(moved.own(after.find(node_id(5))), nullptr);
  EXPECT_EQ(moved.own(after.find(node_id(5)))->rtt_ms.value, 5);
  EXPECT_EQ(moved.load(after.find(node_id(7)), Ms{0}, kDecay).value, 700);
  EXPECT_EQ(
      moved.link(0, after.find(node_id(7)), after.find(node_id(5)), Ms{0}, kDecay).rtt_ms.value,
      57);
}

}  // namespace
}  // namespace rap::routing
