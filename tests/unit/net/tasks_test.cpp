#include <gtest/gtest.h>

#include <thread>

#include "base/net/blocking_pool.hpp"
#include "base/net/event.hpp"
#include "base/net/net_error.hpp"
#include "base/net/task_group.hpp"
#include "base/net/timer.hpp"
#include "tests/support/run_task.hpp"

namespace rap::net {
namespace {

class TasksTest : public ::testing::Test {
 protected:
  boost::asio::io_context io;
};

Task<int> give(int value, milliseconds after) {
  co_await sleep_for(after);
  co_return value;
}

Task<void> note_end(bool& ended, milliseconds after) {
  struct AtEnd {
    bool& flag;
    ~AtEnd() { flag = true; }
  } at_end{ended};
  co_await sleep_for(after);
}

Task<void> fail_soon() {
  co_await sleep_for(milliseconds(1));
  throw NetError(Errc::conflict, "x");
}

// Boost 1.81 threw this one's cancellation through run().
Task<void> cancel_all(TaskGroup& group) {
  group.cancel();
  co_return;
}

Task<void> spawn_cancel_all(TaskGroup& group) {
  group.spawn("cancels itself", cancel_all(group));
  co_await sleep_for(milliseconds(1));
}

TEST_F(TasksTest, ATaskCancelledBeforeItEverWaitedEndsQuietly) {
  TaskGroup group(io.get_executor());
  test::run_task(io, spawn_cancel_all(group));
  EXPECT_EQ(group.size(), 0u);
}

TEST_F(TasksTest, DeadlineLetsTheQuickThrough) {
  EXPECT_EQ(test::run_task(io, with_deadline(give(7, milliseconds(1)), milliseconds(5000))), 7);
}

TEST_F(TasksTest, DeadlineCancelsAndWaitsForTheSlow) {
  bool ended = false;
  try {
    test::run_task(io, with_deadline(note_end(ended, milliseconds(10'000)), milliseconds(5)));
    FAIL();
  } catch (const NetError& error) {
    EXPECT_EQ(error.code(), Errc::timeout);
  }
  EXPECT_TRUE(ended);
}

TEST_F(TasksTest, DeadlinePassesExceptionsAtOnce) {
  try {
    test::run_task(io, with_deadline(fail_soon(), milliseconds(10'000)));
    FAIL();
  } catch (const NetError& error) {
    EXPECT_EQ(error.code(), Errc::conflict);
  }
}

Task<void> drain_now(TaskGroup& group, milliseconds grace) {
  co_await group.drain(grace);
}

TEST_F(TasksTest, DrainWaitsThenCancels) {
  TaskGroup group(io.get_executor());
  bool quick = false;
  bool slow = false;
  group.spawn("quick", note_end(quick, milliseconds(5)));
  group.spawn("slow", note_end(slow, milliseconds(60'000)));
  group.spawn("failing", fail_soon());
  EXPECT_EQ(group.size(), 3u);
  test::run_task(io, drain_now(group, milliseconds(30)));
  EXPECT_TRUE(quick && slow);
  EXPECT_EQ(group.size(), 0u);
  bool late = false;
  group.spawn("late", note_end(late, milliseconds(1)));
  EXPECT_EQ(group.size(), 0u);
}

Task<void> wait_and_count(Event& event, int& count) {
  co_await event.wait();
  ++count;
}

Task<void> event_story(boost::asio::io_context& io, int& count) {
  Event event(io.get_executor());
  TaskGroup group(io.get_executor());
  for (int i = 0; i < 3; ++i) group.spawn("waiter", wait_and_count(event, count));
  const bool early = co_await event.wait_for(milliseconds(5));
  EXPECT_FALSE(early);
  EXPECT_EQ(count, 0);
  event.set();
  event.reset();  // those who waited saw it all the same
  co_await group.drain(milliseconds(1000));
  EXPECT_EQ(count, 3);
  event.set();
  co_await event.wait();
}

TEST_F(TasksTest, EventWakesEverybody) {
  int count = 0;
  test::run_task(io, event_story(io, count));
  EXPECT_EQ(count, 3);
}

Task<void> pool_story(BlockingPool& pool) {
  const auto home = std::this_thread::get_id();
  std::string text(100, 'x');
  auto work = [text, home] {
    EXPECT_NE(std::this_thread::get_id(), home);
    return text + "y";
  };
  const std::string out = co_await run_blocking(pool, std::move(work));
  EXPECT_EQ(out, text + "y");
  EXPECT_EQ(std::this_thread::get_id(), home);
  auto bad = [text]() -> int { throw NetError(Errc::conflict, text); };
  bool thrown = false;
  try {
    co_await run_blocking(pool, std::move(bad));
  } catch (const NetError& error) {
    thrown = error.code() == Errc::conflict;
  }
  EXPECT_TRUE(thrown);
}

TEST_F(TasksTest, BlockingWorkRunsElsewhereAndComesBack) {
  BlockingPool pool(2);
  test::run_task(io, pool_story(pool));
}

Task<void> slow_pool_work(BlockingPool& pool, bool& done) {
  auto work = [&done] {
    std::this_thread::sleep_for(milliseconds(50));
    done = true;
  };
  co_await run_blocking(pool, std::move(work));
  co_await sleep_for(milliseconds(60'000));
}

TEST_F(TasksTest, CancellingBlockingWorkWaitsForIt) {
  BlockingPool pool(1);
  bool done = false;
  EXPECT_THROW(test::run_task(io, with_deadline(slow_pool_work(pool, done), milliseconds(5))),
               NetError);
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace rap::net
