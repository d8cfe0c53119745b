#include "host/worker/hub/input_budget.hpp"

#include <gtest/gtest.h>

namespace rap::worker {
namespace {

using namespace std::chrono_literals;

// Frames that a client which sends as fast as it may gets through in ten seconds.
std::pair<double, double> through(std::size_t bytes) {
  InputBudget::Time now{};
  const auto end = now + 10s;
  InputBudget budget(now);
  double frames = 0;
  while (now < end) {
    ++frames;
    now += budget.spend(bytes, now);
  }
  return {frames, frames * static_cast<double>(bytes)};
}

TEST(InputBudget, APersonNeverNotices) {
  InputBudget::Time now{};
  InputBudget budget(now);
  for (int i = 0; i < 100'000; ++i) {  // a mouse at 1,000 Hz
    ASSERT_EQ(budget.spend(40, now), 0ms);
    now += 1ms;
  }
  for (int i = 0; i < 8; ++i) ASSERT_EQ(budget.spend(1 << 20, now), 0ms) << "a paste of 8 MiB";
}

TEST(InputBudget, AFloodIsHeldToItsRates) {
  const double burst_and_time = kInputBurstSeconds + 10;
  EXPECT_LE(through(0).first, kInputFramesPerSecond * burst_and_time * 1.01);
  EXPECT_GE(through(0).first, kInputFramesPerSecond * 9);
  EXPECT_LE(through(1 << 20).second, kInputBytesPerSecond * burst_and_time + (2 << 20));
  EXPECT_GE(through(1 << 20).second, kInputBytesPerSecond * 9);
}

TEST(InputBudget, APauseIsMadeUpForOnce) {
  InputBudget::Time now{};
  InputBudget budget(now);
  now += 3600s;
  int frames = 0;
  while (budget.spend(0, now) == 0ms) ++frames;
  EXPECT_NEAR(frames, kInputFramesPerSecond * kInputBurstSeconds, 2);
}

}  // namespace
}  // namespace rap::worker
