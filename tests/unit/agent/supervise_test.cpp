#include <gtest/gtest.h>

#include "host/agent/node/capabilities.hpp"
#include "host/agent/node/facts.hpp"
#include "host/agent/supervise/restart_policy.hpp"
#include "tests/unit/agent/temp_dir.hpp"

namespace rap::agent {
namespace {

using namespace std::chrono_literals;
using Time = RestartPolicy::Time;

TEST(Backoff, DoublesUpToTheMostWithJitter) {
  Backoff backoff(100ms, 1000ms);
  for (const int most : {100, 200, 400, 800, 1000, 1000}) {
    const auto wait = backoff.next(most * 7919u);
    EXPECT_GE(wait.count(), most / 2);
    EXPECT_LE(wait.count(), most);
  }
  backoff.reset();
  EXPECT_LE(backoff.next(0).count(), 100);
}

TEST(Backoff, NeverOverflows) {
  Backoff backoff(250ms, 30s);
  for (int i = 0; i < 1000; ++i) {
    const auto wait = backoff.next(~0ull);
    EXPECT_GT(wait.count(), 0);
    EXPECT_LE(wait, 30s);
  }
}

TEST(RestartPolicy, GivesUpAfterTooManyInTheWindow) {
  RestartPolicy policy({});
  Time now{};
  for (int i = 0; i < 5; ++i) {
    policy.started(now);
    now += 1s;
    EXPECT_TRUE(policy.ended(now, 1)) << i;
  }
  policy.started(now);
  now += 1s;
  EXPECT_FALSE(policy.ended(now, 1));
  EXPECT_TRUE(policy.given_up());
  policy.changed();
  EXPECT_FALSE(policy.given_up());
  EXPECT_TRUE(policy.ended(now, 1));
}

TEST(RestartPolicy, RareCrashesAreNeverTooMany) {
  RestartPolicy policy({});
  Time now{};
  for (int i = 0; i < 100; ++i) {
    policy.started(now);
    now += 2min;
    const auto wait = policy.ended(now, 1);
    ASSERT_TRUE(wait);
    EXPECT_LE(*wait, 250ms) << "a proven start begins from the shortest wait";
  }
}

TEST(RestartPolicy, WaitsGrowWhileItKeepsFailing) {
  RestartPolicy policy({});
  Time now{};
  std::chrono::milliseconds last{0};
  for (int i = 0; i < 4; ++i) {
    policy.started(now);
    now += 10ms;
    const auto wait = policy.ended(now, 0);
    ASSERT_TRUE(wait);
    EXPECT_GT(*wait, last);
    last = *wait;
  }
}

TEST(Facts, OfThisHost) {
  const Facts facts = read_facts();
  EXPECT_FALSE(facts.kernel.empty());
  EXPECT_FALSE(facts.boot_id.empty());
  EXPECT_GT(facts.memory_kb, 0);
  EXPECT_GT(facts.cpus, 0);
}

TEST(Facts, CpuTimesLeaveOutIdleAndWait) {
  const auto times = parse_cpu_times("cpu  10 1 5 100 20 2 3 4 9 9\ncpu0 1 1 1 1\n");
  ASSERT_TRUE(times);
  EXPECT_EQ(times->busy, 25u);
  EXPECT_EQ(times->total, 145u);
  EXPECT_FALSE(parse_cpu_times(""));
  EXPECT_FALSE(parse_cpu_times("cpu  x y z w"));
}

TEST(Facts, StartTimeOfANameWithParentheses) {
  std::string stat = "7 (a) b) c) S";
  for (int i = 4; i < 53; ++i) stat += " " + std::to_string(i);
  EXPECT_EQ(parse_start_time(stat), 22u);
  EXPECT_FALSE(parse_start_time("7 (x"));
  EXPECT_FALSE(parse_start_time("7 (x) S 1 2"));
}

bool has(const std::vector<Capability>& list, std::string_view name) {
  for (const Capability& entry : list) {
    if (entry.name == name) return true;
  }
  return false;
}

TEST(Capabilities, FollowWhatIsInstalled) {
  TempDir dir;
  ProbeInput input{dir.path() / "rap-worker", dir.path() / "rap-mesh-listener", {dir.path()}};
  EXPECT_TRUE(probe_host(input).capabilities.empty());
  std::filesystem::permissions(dir.write("rap-worker", ""), std::filesystem::perms::owner_all);
  EXPECT_FALSE(has(probe_host(input).capabilities, "can_run_ssh_worker"));
  EXPECT_TRUE(has(probe_host(input).capabilities, "can_run_plugins"));
  EXPECT_TRUE(has(probe_host(input).capabilities, "can_route_mesh"));
  dir.write("libssh.so.4", "");
  const HostAbilities abilities = probe_host(input);
  EXPECT_TRUE(has(abilities.capabilities, "can_run_ssh_worker"));
  EXPECT_FALSE(has(abilities.capabilities, "can_run_rdp_worker"));
  EXPECT_FALSE(has(abilities.capabilities, "can_accept_client_ingress"));
  EXPECT_TRUE(has(abilities.sandbox_layers, "seccomp"));
}

}  // namespace
}  // namespace rap::agent
