#include "host/agent/supervise/joined_adapters.hpp"

#include <gtest/gtest.h>

namespace rap::agent {
namespace {

using namespace std::chrono_literals;
using Kind = JoinedAdapters::Step::Kind;

class Joined : public testing::Test {
 protected:
  static JoinedRole role(const std::string& adapter, const std::string& config = "{}") {
    JoinedRole out;
    out.role = "relay-node";
    out.adapter.id = adapter;
    out.config_json = config;
    return out;
  }
  std::string next() {
    const auto step = joined_.next(now_);
    if (!step) return "";
    const char* const words[] = {"add ", "remove ", "remove now "};
    return words[static_cast<int>(step->kind)] + step->adapter;
  }
  WorkloadState state(const std::string& adapter) { return joined_.states().at(adapter).first; }
  std::string words(const std::string& adapter) { return joined_.states().at(adapter).second; }

  JoinedAdapters joined_{{.restarts_max = 2}};
  JoinedAdapters::Time now_ = JoinedAdapters::Time() + 1h;
};

TEST_F(Joined, ComeAndGoWithWhatIsWanted) {
  EXPECT_EQ(next(), "");
  joined_.want({role("a"), role("b")});
  EXPECT_EQ(state("a"), WorkloadState::starting);
  EXPECT_EQ(next(), "add a");
  joined_.added(role("a"), now_);
  EXPECT_EQ(state("a"), WorkloadState::running);
  EXPECT_EQ(next(), "add b");
  joined_.added(role("b"), now_);
  EXPECT_EQ(next(), "");
  joined_.want({role("b")});
  EXPECT_FALSE(joined_.states().contains("a"));
  EXPECT_EQ(next(), "remove a");
  joined_.leaving("a");
  EXPECT_EQ(next(), "");
  // Wanted again while it drains: it waits.
  joined_.want({role("a"), role("b")});
  EXPECT_EQ(next(), "");
  EXPECT_EQ(words("a"), "waits until its predecessor has ended");
  joined_.ended("a", now_, 0);
  EXPECT_EQ(next(), "add a");
  joined_.gone();
  EXPECT_EQ(next(), "add a");
  EXPECT_TRUE(joined_.records().empty());
}

TEST_F(Joined, AnotherConfigurationIsAnotherLife) {
  joined_.want({role("a")});
  joined_.added(role("a"), now_);
  joined_.want({role("a", R"({"x":1})")});
  EXPECT_EQ(next(), "remove a");
  joined_.leaving("a");
  joined_.ended("a", now_, 0);
  EXPECT_EQ(next(), "add a");
  // Changed, or taken away, while it was being added.
  joined_.want({role("a", R"({"x":2})")});
  joined_.added(role("a", R"({"x":1})"), now_);
  EXPECT_EQ(next(), "remove a");
  joined_.leaving("a");
  joined_.ended("a", now_, 0);
  joined_.want({});
  joined_.added(role("a", R"({"x":2})"), now_);
  EXPECT_EQ(next(), "remove a");
}

TEST_F(Joined, WhatIsRefusedIsTriedAgainUnlessItCannotChange) {
  joined_.want({role("a")});
  joined_.refused("a", {Errc::invalid, "config: /x: unknown key"}, now_, 0);
  now_ += 1h;
  EXPECT_EQ(next(), "");
  EXPECT_FALSE(joined_.next_at());
  EXPECT_EQ(state("a"), WorkloadState::degraded);
  joined_.want({role("a")});
  EXPECT_EQ(next(), "") << "the answer would be the same";
  JoinedRole another = role("a");
  another.assignment_id = "rol_2";
  joined_.want({another});
  EXPECT_EQ(next(), "add a") << "assigned anew";
  joined_.refused("a", {Errc::invalid, "config: /x: unknown key"}, now_, 0);
  joined_.want({role("a", R"({"y":1})")});
  EXPECT_EQ(next(), "add a");
  for (int i = 0; i < 2; ++i) {
    joined_.refused("a", {Errc::unavailable, "not now"}, now_, 1);
    EXPECT_EQ(next(), "");
    ASSERT_TRUE(joined_.next_at());
    now_ = *joined_.next_at();
    EXPECT_EQ(next(), "add a");
  }
  joined_.refused("a", {Errc::unavailable, "not now"}, now_, 1);
  EXPECT_EQ(state("a"), WorkloadState::failed);
  now_ += 1h;
  EXPECT_EQ(next(), "");
  joined_.retry();
  EXPECT_EQ(next(), "add a");
}

TEST_F(Joined, OneThatCannotGoOnLeavesAtOnceAndComesBackLater) {
  joined_.want({role("a")});
  joined_.added(role("a"), now_);
  joined_.health("a", "degraded", "no peers");
  EXPECT_EQ(state("a"), WorkloadState::degraded);
  EXPECT_EQ(words("a"), "no peers");
  joined_.health("a", "failed", "broken");
  EXPECT_EQ(next(), "remove now a");
  joined_.leaving("a");
  joined_.ended("a", now_, 1);
  EXPECT_EQ(next(), "");
  EXPECT_EQ(words("a"), "the adapter failed: broken; starting again");
  now_ = *joined_.next_at();
  EXPECT_EQ(next(), "add a");
  joined_.added(role("a"), now_);
  EXPECT_EQ(state("a"), WorkloadState::running);
  EXPECT_EQ(words("a"), "");
}

TEST_F(Joined, TheNextAgentGoesByTheProcessAndTheRecord) {
  joined_.want({role("a"), role("b"), role("c"), role("d")});
  joined_.found({{"a", false}, {"b", false}, {"d", true}, {"old", false}, {"gone", true}},
                {{"a", configuration_hash("{}")},
                 {"b", configuration_hash(R"({"x":1})")},
                 {"c", configuration_hash("{}")}});
  EXPECT_EQ(state("a"), WorkloadState::running);
  EXPECT_EQ(joined_.records().count("a"), 1u);
  EXPECT_EQ(joined_.records().count("c"), 0u) << "it was noted, and not added any more";
  EXPECT_EQ(next(), "remove b") << "another configuration";
  joined_.leaving("b");
  EXPECT_EQ(next(), "add c");
  joined_.added(role("c"), now_);
  EXPECT_EQ(next(), "remove old");
  joined_.leaving("old");
  EXPECT_EQ(next(), "") << "d drains";
  for (const char* id : {"old", "gone", "b", "d"}) joined_.ended(id, now_, 0);
  EXPECT_EQ(next(), "add b");
  EXPECT_EQ(joined_.states().size(), 4u);
}

}  // namespace
}  // namespace rap::agent
