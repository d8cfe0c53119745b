// Workloads without sessions: sockets, configuration, what they may know and reach, crash, update.
#include "host/agent/supervise/workload_port.hpp"
#include "tests/integration/agent/workload_rig.hpp"
#include "tests/support/free_port.hpp"

namespace rap::agent {
namespace {

TEST_F(EchoService, ServesOnItsSocketWithItsConfiguration) {
  applied_ = with_config(R"({"greeting":"hello"})");
  Life life(config_, 1);
  begin(life);
  ASSERT_TRUE(running(life)) << detail_of(life);
  ASSERT_NE(address_of(life), "");
  const Fd one = connect_to_service(address_of(life));
  ASSERT_TRUE(one);
  EXPECT_EQ(say(one, ""), "hello");
  EXPECT_EQ(say(one, "again"), "again");
  EXPECT_FALSE(life.workloads.find("echo-service", organization_)) << "it has no sessions";
  stop_everything(life);
  EXPECT_EQ(say(one, "x"), "");
  EXPECT_TRUE(fs::is_empty(config_.run_dir / "instances"));
}

TEST_F(EchoService, ACrashIsBoundedAndTheSocketComesBack) {
  config_.restarts_max = 2;
  Life life(config_, 1);
  begin(life);
  ASSERT_TRUE(running(life)) << detail_of(life);
  for (int i = 0; i < 2; ++i) {
    const int pid = life.workloads.report().at(0).pid;
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    ASSERT_TRUE(life.until([&] {
      return state_of(life) == WorkloadState::running && life.workloads.report().at(0).pid != pid;
    })) << detail_of(life);
    const Fd fd = connect_to_service(address_of(life));
    ASSERT_TRUE(fd);
    EXPECT_EQ(say(fd, "back"), "back");
  }
  ASSERT_EQ(::kill(life.workloads.report().at(0).pid, SIGKILL), 0);
  EXPECT_TRUE(life.until([&] { return state_of(life) == WorkloadState::failed; }));
  EXPECT_NE(detail_of(life).find("given up after 3"), std::string::npos) << detail_of(life);
  EXPECT_EQ(life.context.counters.process_starts, 3u);
  stop_everything(life);
}

TEST_F(EchoService, TheNextAgentFindsItWithSocketAndConnections) {
  int pid = 0;
  std::string address;
  Fd open;
  {
    Life first(config_, 1);
    begin(first);
    ASSERT_TRUE(running(first)) << detail_of(first);
    pid = first.workloads.report().at(0).pid;
    address = address_of(first);
    open = connect_to_service(address);
    EXPECT_EQ(say(open, "one"), "one");
  }
  EXPECT_EQ(say(open, "two"), "two");
  EXPECT_EQ(say(connect_to_service(address), "three"), "three")
      << "new ones, too, without an agent";
  Life second(config_, 2);
  std::vector<std::string> damaged;
  for (const InstanceRecord& record : second.context.records.read_all(damaged)) {
    second.workloads.adopt(record, applied_.get());
  }
  begin(second);
  ASSERT_TRUE(running(second)) << detail_of(second);
  EXPECT_EQ(second.workloads.report().at(0).pid, pid);
  EXPECT_EQ(second.context.counters.process_starts, 0u);
  EXPECT_TRUE(second.until([&] { return address_of(second) == address; }));
  EXPECT_EQ(say(open, "four"), "four");
  stop_everything(second);
}

TEST_F(EchoService, AnotherConfigurationIsAnotherProcessAndTheOldOneDrains) {
  config_.services[0].listen = "127.0.0.1:" + std::to_string(test::free_port());
  Life life(config_, 1);
  begin(life);
  ASSERT_TRUE(running(life)) << detail_of(life);
  const int pid = life.workloads.report().at(0).pid;
  Fd old = connect_to_service(address_of(life));
  EXPECT_EQ(say(old, "old"), "old");
  life.workloads.apply(with_config(R"({"greeting":"new"})"));
  ASSERT_TRUE(life.until([&] {
    return state_of(life) == WorkloadState::running && life.workloads.report().at(0).pid != pid;
  })) << detail_of(life);
  EXPECT_EQ(say(connect_to_service(config_.services[0].listen), ""), "new");
  EXPECT_EQ(say(old, "still here"), "still here") << "drained, not cut";
  EXPECT_EQ(life.workloads.all().size(), 2u);
  old.reset();  // nothing is open any more: it may go before its deadline
  EXPECT_TRUE(life.until([&] { return life.workloads.all().size() == 1; }));
  stop_everything(life);
}

TEST_F(EchoService, AConfigurationThatDoesNotFitIsDegradedWithTheReason) {
  applied_ = with_config(R"({"greting":"hello"})");
  Life life(config_, 1);
  begin(life);
  ASSERT_TRUE(life.until([&] { return state_of(life) == WorkloadState::degraded; }))
      << detail_of(life);
  EXPECT_NE(detail_of(life).find("config: /greting: unknown key; did you mean \"greeting\"?"),
            std::string::npos)
      << detail_of(life);
  EXPECT_FALSE(life.until([&] { return state_of(life) != WorkloadState::degraded; }, 1s));
  EXPECT_EQ(life.context.counters.process_starts, 1u) << "the answer would be the same";
  life.workloads.apply(with_config(R"({"greeting":"hello"})"));
  EXPECT_TRUE(running(life)) << detail_of(life);
  stop_everything(life);
}

TEST_F(EchoService, AnAddressInUseIsSaid) {
  config_.restarts_max = 1;
  auto taken = listen_tcp("127.0.0.1:0");
  ASSERT_TRUE(taken);
  config_.services[0].listen = taken->address;
  Life life(config_, 1);
  begin(life);
  EXPECT_TRUE(life.until([&] { return state_of(life) == WorkloadState::failed; }));
  EXPECT_NE(detail_of(life).find("cannot listen at " + taken->address), std::string::npos)
      << detail_of(life);
  stop_everything(life);
}

class WorkloadProbe : public EchoService {
 protected:
  WorkloadProbe() : EchoService(RAP_TEST_OUT_DIR "/workload-probe.so", "probe-service") {}

  static bool running_or_degraded(Life& life) {
    return life.until([&] { return state_of(life) != WorkloadState::starting; });
  }
  static bool says(Life& life, const std::string& words) {
    return life.until([&] { return detail_of(life).find(words) != std::string::npos; });
  }
};

TEST_F(WorkloadProbe, KnowsItsResourcesAndReachesThemOnly) {
  auto target = listen_tcp("127.0.0.1:0");
  ASSERT_TRUE(target);
  auto applied = std::make_shared<Applied>(*applied_);
  applied->access.resources[resource_].port =
      static_cast<std::uint16_t>(std::stoi(target->address.substr(10)));
  applied->roles[0].config_json = R"({"target":")" + resource_ + "\"}";
  applied_ = applied;
  Life life(config_, 1);
  begin(life);
  // What the adapter says about itself is what the agent says about the role.
  ASSERT_TRUE(says(life, "resources with")) << detail_of(life);
  EXPECT_EQ(state_of(life), WorkloadState::degraded);
  EXPECT_EQ(detail_of(life).find("with addresses"), std::string::npos);
  // There is no listener here, so nothing is dialled; but it was allowed.
  EXPECT_TRUE(says(life, "stream failed -7")) << detail_of(life);
  EXPECT_EQ(life.context.counters.dials_refused, 0u);

  auto without = std::make_shared<Applied>(*applied);
  without->access.resources.clear();
  life.applied = without;
  life.workloads.apply(without);
  EXPECT_TRUE(says(life, "resources none")) << detail_of(life);
  stop_everything(life);
}

TEST_F(WorkloadProbe, KeepsItsStateOverRestartsUntilTheRoleIsGone) {
  const fs::path directory = config_.state_dir / "workloads" / assignment_;
  Life life(config_, 1);
  begin(life);
  ASSERT_TRUE(says(life, "starts 1")) << detail_of(life);
  ASSERT_EQ(::kill(life.workloads.report().at(0).pid, SIGKILL), 0);
  ASSERT_TRUE(says(life, "starts 2")) << detail_of(life);
  EXPECT_EQ(read_text_file(directory / organization_ / "starts", 16).value(), "2");
  // A replacement waits for the directory.
  const int pid = life.workloads.report().at(0).pid;
  life.workloads.apply(with_config(R"({"crash":false})"));
  EXPECT_TRUE(says(life, "starts 3")) << detail_of(life);
  EXPECT_NE(::kill(pid, 0), 0) << "two processes had it at one time";

  auto without = std::make_shared<Applied>(*applied_);
  without->roles.clear();
  life.workloads.apply(without);
  EXPECT_TRUE(life.until([&] { return !fs::exists(directory); }));
}

TEST_F(WorkloadProbe, WhatItPrintsIsCapturedByTheNextAgentToo) {
  {
    Life first(config_, 1);
    begin(first);
    ASSERT_TRUE(running_or_degraded(first)) << detail_of(first);
    ASSERT_TRUE(first.until([&] { return first.context.counters.log_lines > 0; }));
  }
  Life second(config_, 2);
  std::vector<std::string> damaged;
  for (const InstanceRecord& record : second.context.records.read_all(damaged)) {
    second.workloads.adopt(record, applied_.get());
  }
  begin(second);
  ASSERT_TRUE(says(second, "resources with")) << detail_of(second);
  second.until([&] { return second.context.counters.log_lines > 0; }, 300ms);
  const auto before = second.context.counters.log_lines;
  auto without = std::make_shared<Applied>(*applied_);
  without->access.resources.clear();
  second.workloads.apply(without);
  ASSERT_TRUE(says(second, "resources none")) << detail_of(second);
  EXPECT_TRUE(second.until([&] { return second.context.counters.log_lines > before; }));
  stop_everything(second);
}

TEST_F(WorkloadProbe, ForeignTargetsAreDenied) {
  auto applied = std::make_shared<Applied>(*applied_);
  applied->access.resources[resource_].organization_id = OrganizationId::fresh().str();
  applied->roles[0].config_json = R"({"target":")" + resource_ + "\"}";
  applied_ = applied;
  Life life(config_, 1);
  begin(life);
  EXPECT_TRUE(says(life, "stream failed -5")) << detail_of(life);
  EXPECT_TRUE(says(life, "resources none")) << detail_of(life);
  EXPECT_EQ(life.context.counters.dials_refused, 1u);
  stop_everything(life);
}

}  // namespace
}  // namespace rap::agent
