// Each case is a process of its own, as the watchdog ends the one that it is in.
#include "host/worker/watchdog.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <thread>

namespace rap::worker {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// A process with one call into a plugin, `call`; it exits with 0 when that returns.
pid_t start(const std::function<void()>& call) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  Watchdog watchdog;
  {
    const Watchdog::Scope scope(watchdog, "test");
    call();
  }
  _exit(0);
}

int status_of(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void spin_until(Clock::time_point until) {
  while (Clock::now() < until) {
  }
}

TEST(Watchdog, EndsACallThatComputesForever) {
  EXPECT_EQ(status_of(start([] { spin_until(Clock::now() + 10min); })), kExitHung);
}

TEST(Watchdog, EndsACallThatSleepsForever) {
  const pid_t pid = start([] {
    for (;;) pause();
  });
  EXPECT_EQ(status_of(pid), kExitHung);
}

TEST(Watchdog, LetsACallOfFourSecondsReturn) {
  EXPECT_EQ(status_of(start([] { std::this_thread::sleep_for(4s); })), 0);
}

TEST(Watchdog, AStoppedProcessDoesNotHang) {
  const pid_t pid = start([] { raise(SIGSTOP); });
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, WUNTRACED), pid);
  ASSERT_TRUE(WIFSTOPPED(status));
  std::this_thread::sleep_for(7s);
  kill(pid, SIGCONT);
  EXPECT_EQ(status_of(pid), 0);
}

// Seven seconds by the clock, with a core of which it gets a hundredth.
TEST(Watchdog, AProcessThatHardlyRunsDoesNotHang) {
  cpu_set_t old, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof old, &old), 0);
  int core = 0;
  while (!CPU_ISSET(core, &old)) ++core;
  CPU_ZERO(&one);
  CPU_SET(core, &one);
  const auto pin = [&] { return sched_setaffinity(0, sizeof one, &one); };
  const pid_t greedy = fork();
  if (greedy == 0) {
    pin();
    spin_until(Clock::now() + 60s);
    _exit(0);
  }
  const pid_t starved = start([&] {
    pin();
    [[maybe_unused]] const int now = nice(19);
    spin_until(Clock::now() + 7s);
  });
  EXPECT_EQ(status_of(starved), 0);
  kill(greedy, SIGKILL);
  status_of(greedy);
}

}  // namespace
}  // namespace rap::worker
