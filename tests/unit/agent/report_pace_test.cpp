#include "host/agent/control/report_pace.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace rap::agent {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

json::object report(int seq, const char* state = "up", int rtt_us = 100) {
  return {{"boot_id", "b1"},
          {"seq", seq},
          {"endpoints", {"10.0.0.1:7444"}},
          {"links",
           {{{"peer", "nod_1"},
             {"state", state},
             {"for_ms", 1'000},
             {"age_ms", 10},
             {"rtt_us", rtt_us}}}}};
}

class Pace : public testing::Test {
 protected:
  void send(std::chrono::milliseconds interval = 15s) {
    ASSERT_TRUE(due());
    (void)pace_.take(now_);
    pace_.sent(now_, interval);
  }
  bool due() {
    const auto at = pace_.due(now_);
    return at && *at <= now_;
  }
  ReportPace pace_;
  ReportPace::Time now_ = ReportPace::Time() + 1h;
};

TEST_F(Pace, WhatIsTheSameWaitsForTheInterval) {
  EXPECT_FALSE(pace_.due(now_));
  pace_.came(report(1), now_);
  send(20s);
  now_ += 10s;
  pace_.came(report(2, "up", 7'000), now_);
  EXPECT_EQ(*pace_.due(now_), now_ + 10s);
  now_ += 10s;
  EXPECT_TRUE(due());
  const json::object sent = pace_.take(now_);
  EXPECT_EQ(sent.at("seq"), 2);
  EXPECT_EQ(sent.at("links").at(0).at("for_ms"), 11'000) << "ages grow while it waits";
  EXPECT_EQ(sent.at("links").at(0).at("age_ms"), 10'010);
  pace_.sent(now_, 20s);
  EXPECT_FALSE(pace_.due(now_));
}

TEST_F(Pace, WhatIsNewGoesAtOnceButOnceASecond) {
  pace_.came(report(1), now_);
  send();
  now_ += 200ms;
  pace_.came(report(2, "down"), now_);
  EXPECT_EQ(*pace_.due(now_), now_ + 800ms);
  now_ += 200ms;
  pace_.came(report(3, "up"), now_);  // as it was: only the last counts
  EXPECT_EQ(*pace_.due(now_), now_ + 15s - 400ms);
  now_ += 200ms;
  json::object moved = report(4);
  moved["endpoints"] = {"10.0.0.2:7444"};
  pace_.came(moved, now_);
  now_ += 400ms;
  send();
  now_ += 2s;
  json::object again = report(1);
  again["boot_id"] = "b2";
  pace_.came(again, now_);
  EXPECT_TRUE(due()) << "another life of the mesh";
}

TEST_F(Pace, WhatFailedIsTriedAgainMoreAndMoreSeldom) {
  pace_.came(report(1), now_);
  (void)pace_.take(now_);
  pace_.failed(now_, 999);
  auto at = pace_.due(now_);
  ASSERT_TRUE(at);
  EXPECT_GT(*at, now_);
  EXPECT_LE(*at, now_ + 1s);
  now_ = *at;
  (void)pace_.take(now_);
  pace_.came(report(2), now_);  // while it was on its way
  pace_.failed(now_, 1'999);
  at = pace_.due(now_);
  ASSERT_TRUE(at);
  EXPECT_GT(*at, now_ + 900ms);
  now_ = *at;
  EXPECT_EQ(pace_.take(now_).at("seq"), 2);
  pace_.sent(now_, 15s);
  // One that nobody renewed says nothing any more.
  pace_.came(report(3, "down"), now_);
  (void)pace_.take(now_);
  pace_.failed(now_, 0);
  now_ += 2min;
  EXPECT_FALSE(pace_.due(now_));
}

TEST_F(Pace, OddReportsAndAnswersDoNoHarm) {
  pace_.came({{"links", {1, {{"for_ms", "x"}}, json::array{}}}}, now_);
  send(-5s);
  now_ += 1s;
  pace_.came({}, now_);
  send(240h);
  now_ += 5min;
  pace_.came({}, now_);
  EXPECT_TRUE(due()) << "no answer silences a node";
}

}  // namespace
}  // namespace rap::agent
