#include "controlplane/db/reconnect.hpp"

#include <gtest/gtest.h>

namespace rap::cp {
namespace {

using namespace std::chrono_literals;

struct ReconnectGateTest : testing::Test {
  ReconnectGate gate;
  ReconnectGate::Time now{1h};
  ReconnectGate::Attempt one, other;
};

TEST_F(ReconnectGateTest, OneFailureSpeaksForAllForAWhile) {
  ASSERT_TRUE(gate.may_try(now, one));
  gate.failed(now, one);
  EXPECT_FALSE(gate.may_try(now, other));
  EXPECT_FALSE(gate.may_try(now + ReconnectGate::kPause - 1ms, other));
  EXPECT_TRUE(gate.may_try(now + ReconnectGate::kPause, other));
}

TEST_F(ReconnectGateTest, OneSuccessOpensTheWayForAll) {
  ASSERT_TRUE(gate.may_try(now, one));
  ASSERT_TRUE(gate.may_try(now, other));
  gate.failed(now, one);
  gate.succeeded();
  EXPECT_TRUE(gate.may_try(now, one));
}

TEST_F(ReconnectGateTest, AFailureOlderThanASuccessSaysNothing) {
  ASSERT_TRUE(gate.may_try(now, one));
  ASSERT_TRUE(gate.may_try(now, other));
  gate.succeeded();
  gate.failed(now, one);
  EXPECT_TRUE(gate.may_try(now, one));
  gate.failed(now, one);  // begun after the success, it is news
  EXPECT_FALSE(gate.may_try(now, one));
}

}  // namespace
}  // namespace rap::cp
