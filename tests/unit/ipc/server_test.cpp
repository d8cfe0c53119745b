#include "host/ipc/server.hpp"

#include <gtest/gtest.h>

#include "base/json.hpp"
#include "host/ipc/blocking_client.hpp"
#include "tests/unit/ipc/server_fixture.hpp"

namespace rap::ipc {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

BlockingClient connect(const RunningServer& server) {
  return BlockingClient(*connect_to(server.path()));
}

TEST(IpcServer, AnswersWithTheSameId) {
  RunningServer server;
  auto agent = connect(server);
  auto hello = agent.hello(kNonce, 1, test::kPatience);
  ASSERT_TRUE(hello) << hello.error().text();
  EXPECT_EQ(*json_string(*hello->body, "kind"), "session");
  EXPECT_EQ(*json_string(*hello->body, "greeting"), "hi");
  auto echo = agent.call({{"op", "echo"}, {"text", "abc"}}, {}, test::kPatience);
  ASSERT_TRUE(echo);
  EXPECT_EQ(*json_string(*echo->body, "text"), "abc");
  auto unknown = agent.call({{"op", "dance"}}, {}, test::kPatience);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Errc::unsupported);
}

TEST(IpcServer, TheFirstNonceBindsAndTheFenceOnlyRises) {
  RunningServer server;
  auto agent = connect(server);
  ASSERT_TRUE(agent.hello(kNonce, 5, test::kPatience));
  EXPECT_EQ(
      connect(server).hello("ffffffffffffffffffffffffffffffff", 6, test::kPatience).error().code,
      Errc::unauthorized);
  EXPECT_EQ(connect(server).hello(kNonce, 4, test::kPatience).error().code, Errc::conflict);
  EXPECT_EQ(connect(server).hello("short", 5, test::kPatience).error().code, Errc::invalid);
  EXPECT_TRUE(agent.call({{"op", "echo"}, {"text", ""}}, {}, test::kPatience));
  auto newer = connect(server);
  ASSERT_TRUE(newer.hello(kNonce, 5, test::kPatience));
  // The newest authenticated peer wins; the old one is closed.
  EXPECT_EQ(agent.call({{"op", "echo"}, {"text", ""}}, {}, test::kPatience).error().code,
            Errc::unavailable);
  EXPECT_TRUE(newer.call({{"op", "echo"}, {"text", ""}}, {}, test::kPatience));
}

TEST(IpcServer, RepeatsEventsUntilTheyAreAcknowledged) {
  RunningServer server;
  {
    auto agent = connect(server);
    ASSERT_TRUE(agent.hello(kNonce, 1, test::kPatience));
    for (int n = 1; n <= 3; ++n)
      ASSERT_TRUE(agent.call({{"op", "event"}, {"n", n}}, {}, test::kPatience));
    ASSERT_TRUE(agent.ack(1));
    ASSERT_TRUE(agent.call({{"op", "echo"}, {"text", ""}}, {}, test::kPatience));
  }
  auto again = connect(server);
  ASSERT_TRUE(again.hello(kNonce, 2, test::kPatience));
  for (int n = 2; n <= 3; ++n) {
    auto event = again.next_message(test::kPatience);
    ASSERT_TRUE(event);
    EXPECT_EQ(*json_int(*event->body, "event_seq"), n);
    EXPECT_EQ(*json_int(*event->body, "n"), n);
  }
}

TEST(IpcServer, KeepsTheNewest256Events) {
  RunningServer server;
  auto agent = connect(server);
  ASSERT_TRUE(agent.hello(kNonce, 1, test::kPatience));
  for (int n = 1; n <= 300; ++n)
    ASSERT_TRUE(agent.call({{"op", "event"}, {"n", n}}, {}, test::kPatience));
  auto again = connect(server);
  auto hello = again.hello(kNonce, 1, test::kPatience);
  ASSERT_TRUE(hello);
  EXPECT_EQ(*json_int(*hello->body, "events_lost"), 44);
  auto event = again.next_message(test::kPatience);
  ASSERT_TRUE(event);
  EXPECT_EQ(*json_int(*event->body, "event_seq"), 45);
}

TEST(IpcServer, CallsOutliveAnAgentThatComesBack) {
  RunningServer server;
  auto first = connect(server);
  ASSERT_TRUE(first.hello(kNonce, 1, test::kPatience));
  auto timed_out = first.call({{"op", "ask"}, {"ms", 200}}, {}, test::kPatience);
  ASSERT_FALSE(timed_out);
  EXPECT_EQ(timed_out.error().code, Errc::timeout);
  (void)first.call({{"op", "ask"}, {"ms", 5000}}, {}, 50ms).has_value();  // not answered yet
  auto second = connect(server);
  ASSERT_TRUE(second.hello(kNonce, 2, test::kPatience));
  auto question = second.next_message(test::kPatience);
  ASSERT_TRUE(question);
  EXPECT_EQ(question->op, "question");
  EXPECT_TRUE(second.answer(*question->id, {{"said", "yes"}}));
  EXPECT_TRUE(second.call({{"op", "echo"}, {"text", ""}}, {}, test::kPatience));
}

TEST(IpcServer, AnAnswerThatComesTooLateIsNoMessage) {
  RunningServer server;
  auto agent = connect(server);
  ASSERT_TRUE(agent.hello(kNonce, 1, test::kPatience));
  EXPECT_FALSE(agent.call({{"op", "ask"}, {"ms", 50}}, {}, 1ms));
  auto question = agent.next_message(test::kPatience);
  ASSERT_TRUE(question);
  EXPECT_EQ(question->op, "question");
  auto late = agent.next_message(300ms);  // by then it was refused
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::timeout);
}

TEST(IpcServer, GarbageEndsTheConnectionAndNothingElse) {
  RunningServer server;
  auto agent = connect(server);
  ASSERT_TRUE(agent.hello(kNonce, 1, test::kPatience));
  for (const char* garbage : {"", "x", "{}", "[1]", R"({"op":"hello"})", R"({"op":7,"id":1})",
                              R"({"op":"hello","id":1,"nonce":7,"fence":"x"})"}) {
    Channel stranger(*connect_to(server.path()));
    (void)stranger.send(garbage).has_value();
    Packet packet;
    for (int i = 0; i < 500; ++i) {
      auto got = stranger.receive(packet);
      if (got && *got == Io::closed) break;
      ASSERT_LT(i, 499) << garbage;
      usleep(10'000);
    }
  }
  EXPECT_TRUE(agent.call({{"op", "echo"}, {"text", ""}}, {}, test::kPatience));
}

}  // namespace
}  // namespace rap::ipc
