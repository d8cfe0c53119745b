#include "host/worker/loop.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

namespace rap::worker {
namespace {

using namespace std::chrono_literals;

TEST(Loop, RunsPostedTasksInOrderFromAnyThread) {
  Loop loop;
  std::vector<int> seen;
  loop.post([&] { seen.push_back(1); });
  std::thread other([&] {
    loop.post([&] { seen.push_back(2); });
    loop.post([&] {
      EXPECT_TRUE(loop.on_loop());
      loop.post([&] { loop.stop(); });
    });
    EXPECT_FALSE(loop.on_loop());
  });
  other.join();
  loop.run();
  EXPECT_EQ(seen, (std::vector<int>{1, 2}));
}

TEST(Loop, TimersRepeatAndCanBeCancelledFromInside) {
  Loop loop;
  int ticks = 0;
  std::uint64_t id = 0;
  id = loop.timer(1ms, 1ms, [&] {
    if (++ticks < 3) return;
    EXPECT_TRUE(loop.cancel(id));
    loop.timer(5ms, 0ms, [&] { loop.stop(); });
  });
  EXPECT_NE(id, 0u);
  loop.run();
  EXPECT_EQ(ticks, 3);
  EXPECT_FALSE(loop.cancel(id));
}

TEST(Loop, AWatchMayRemoveItselfAndTheNumberMayBeUsedAgain) {
  Loop loop;
  int first[2];
  ASSERT_EQ(pipe(first), 0);
  ASSERT_EQ(write(first[1], "x", 1), 1);
  int seen = 0;
  ASSERT_TRUE(loop.watch(first[0], kRead, [&](std::uint32_t events) {
    EXPECT_EQ(events, kRead);
    ++seen;
    EXPECT_TRUE(loop.unwatch(first[0]));
    EXPECT_FALSE(loop.unwatch(first[0]));
    close(first[0]);
    close(first[1]);
    int second[2];
    ASSERT_EQ(pipe(second), 0);
    close(second[1]);
    ASSERT_TRUE(loop.watch(second[0], kRead, [&, fd = second[0]](std::uint32_t again) {
      EXPECT_NE(again & kRead, 0u);  // end of file
      EXPECT_NE(again & kError, 0u);
      loop.unwatch(fd);
      close(fd);
      loop.stop();
    }));
  }));
  loop.run();
  EXPECT_EQ(seen, 1);
}

TEST(Loop, WatchingAgainReplaces) {
  Loop loop;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  ASSERT_TRUE(loop.watch(ends[0], kRead, [](std::uint32_t) { ADD_FAILURE(); }));
  ASSERT_TRUE(loop.watch(ends[0], kRead, [&](std::uint32_t) { loop.stop(); }));
  loop.run();
  EXPECT_FALSE(loop.watch(-1, kRead, [](std::uint32_t) {}));
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace rap::worker
