#include "host/ipc/client.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "base/json.hpp"
#include "tests/unit/ipc/server_fixture.hpp"

namespace rap::ipc {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using namespace std::chrono_literals;

// Runs one coroutine to its end.
void run(asio::io_context& context, asio::awaitable<void> body) {
  std::exception_ptr failed;
  asio::co_spawn(context, std::move(body), [&](std::exception_ptr error) { failed = error; });
  context.run();
  if (failed) std::rethrow_exception(failed);
}

void run_until(asio::io_context& context, const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + test::kPatience;
  while (!done() && std::chrono::steady_clock::now() < end) {
    context.restart();
    context.run_for(10ms);
  }
}

struct Seen {
  std::vector<std::string> ops;
  int closed = 0;
};

std::unique_ptr<IpcClient> connect(asio::io_context& context, const RunningServer& server,
                                   Seen& seen, std::unique_ptr<IpcClient>& self) {
  IpcClient::Handlers handlers;
  handlers.on_message = [&seen, &self](Message message) {
    seen.ops.push_back(message.op);
    if (message.op != "question") return;
    json::object members = {{"said", "42"}};
    self->answer(*message.id, members);
  };
  handlers.on_closed = [&seen](const Error&) { ++seen.closed; };
  return std::make_unique<IpcClient>(context.get_executor(), *connect_to(server.path()),
                                     std::move(handlers));
}

asio::awaitable<void> talk(std::unique_ptr<IpcClient>& client, Seen& seen) {
  auto hello = co_await client->hello(kNonce, 1, "0.1.0", test::kPatience);
  EXPECT_TRUE(hello);
  json::object echo = {{"op", "echo"}, {"text", "abc"}};
  std::vector<Fd> fds;
  fds.emplace_back(dup(0));
  auto echoed = co_await client->call(echo, std::move(fds), test::kPatience);
  EXPECT_TRUE(echoed);
  if (echoed) {
    EXPECT_EQ(*json_string(*echoed->body, "text"), "abc");
    EXPECT_EQ(echoed->fds.size(), 1u);
  }
  json::object ask = {{"op", "ask"}, {"ms", test::kPatienceMs}};
  std::vector<Fd> none;
  auto asked = co_await client->call(ask, std::move(none), test::kPatience);
  EXPECT_TRUE(asked);
  if (asked) {
    EXPECT_EQ(*json_string(*asked->body, "said"), "42");
  }
  json::object event = {{"op", "event"}, {"n", 1}};
  std::vector<Fd> none2;
  auto sent = co_await client->call(event, std::move(none2), test::kPatience);
  EXPECT_TRUE(sent);
  client->ack(1);
  json::object never = {{"op", "never"}};
  std::vector<Fd> none3;
  auto late = co_await client->call(never, std::move(none3), 50ms);
  EXPECT_FALSE(late);
  if (!late) {
    EXPECT_EQ(late.error().code, Errc::timeout);
  }
  EXPECT_EQ(seen.ops, (std::vector<std::string>{"question", "state"}));
  client.reset();
}

TEST(IpcClient, CallsEventsAndRequestsOfTheProcess) {
  RunningServer server;
  asio::io_context context;
  Seen seen;
  std::unique_ptr<IpcClient> client;
  client = connect(context, server, seen, client);
  run(context, talk(client, seen));
  EXPECT_EQ(seen.closed, 0);
}

asio::awaitable<void> lose(std::unique_ptr<IpcClient>& client, const RunningServer& server) {
  auto hello = co_await client->hello(kNonce, 1, "0.1.0", test::kPatience);
  EXPECT_TRUE(hello);
  json::object never = {{"op", "never"}};
  std::vector<Fd> none;
  // Sent when called; somebody newer takes the place while it waits.
  auto pending = client->call(never, std::move(none), test::kPatience);
  Channel newer(*connect_to(server.path()));
  json::object text = {
      {"op", "hello"}, {"id", 1}, {"nonce", kNonce}, {"fence", 1}, {"agent_version", "0"}};
  EXPECT_EQ(*newer.send(json::serialize(text)), Io::done);
  auto lost = co_await std::move(pending);
  EXPECT_FALSE(lost);
  if (!lost) {
    EXPECT_EQ(lost.error().code, Errc::unavailable);
  }
  EXPECT_FALSE(client->open());
  std::vector<Fd> none2;
  auto after = co_await client->call(never, std::move(none2), test::kPatience);
  EXPECT_FALSE(after);
  client.reset();
}

TEST(IpcClient, CallsEndWhenTheProcessClosesTheConnection) {
  RunningServer server;
  asio::io_context context;
  Seen seen;
  std::unique_ptr<IpcClient> client;
  client = connect(context, server, seen, client);
  run(context, lose(client, server));
  EXPECT_EQ(seen.closed, 1);
}

asio::awaitable<void> drop(std::unique_ptr<IpcClient>& client) {
  auto hello = co_await client->hello(kNonce, 1, "0.1.0", test::kPatience);
  EXPECT_TRUE(hello);
  json::object never = {{"op", "never"}};
  std::vector<Fd> none;
  auto pending = client->call(never, std::move(none), test::kPatience);
  client.reset();
  auto result = co_await std::move(pending);
  EXPECT_FALSE(result);
  if (!result) {
    EXPECT_EQ(result.error().code, Errc::cancelled);
  }
}

TEST(IpcClient, DestroyingItCancelsItsCalls) {
  RunningServer server;
  asio::io_context context;
  Seen seen;
  std::unique_ptr<IpcClient> client;
  client = connect(context, server, seen, client);
  run(context, drop(client));
  EXPECT_EQ(seen.closed, 0);
}

TEST(MessageBudget, ABurstIsFreeAndAFloodIsHeldToItsRate) {
  MessageBudget::Time now{};
  MessageBudget budget({20, 300}, now);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(budget.spend(100, now).count(), 0) << i;
  EXPECT_EQ(budget.spend(100, now), 50ms);
  int read = 0;
  for (const auto end = now + 10s; now < end; ++read) now += budget.spend(100, now);
  EXPECT_NEAR(read, 200, 5);
}

TEST(MessageBudget, WhatIsAskedForIsNotHeldAgainstTheProcess) {
  MessageBudget::Time now{};
  MessageBudget budget({20, 300}, now);
  for (int attach = 0; attach < 1000; ++attach) {
    budget.earn();
    for (int i = 0; i < 6; ++i) ASSERT_EQ(budget.spend(100, now).count(), 0) << attach;
  }
  for (int i = 0; i < 300; ++i) budget.spend(100, now);
  EXPECT_GT(budget.spend(100, now).count(), 0) << "requests answered in time save nothing up";
}

TEST(MessageBudget, ALongMessageCostsMore) {
  MessageBudget::Time now{};
  MessageBudget budget({1, 17}, now);
  EXPECT_EQ(budget.spend(kMessageBytesMax, now).count(), 0);
  EXPECT_EQ(budget.spend(1, now), 1000ms);
}

// Both ends of a connection here: the process is whatever the test sends.
TEST(IpcClient, AProcessThatFloodsIsReadAtItsRate) {
  asio::io_context context;
  auto pair = channel_pair();
  Channel process(std::move(pair->second));
  Seen seen;
  IpcClient::Handlers handlers;
  handlers.on_message = [&seen](Message message) { seen.ops.push_back(message.op); };
  auto budget =
      std::make_shared<MessageBudget>(MessageRate{10, 20}, MessageBudget::Time::clock::now());
  IpcClient client(context.get_executor(), std::move(pair->first), std::move(handlers), budget);
  const auto began = std::chrono::steady_clock::now();
  const auto end = began + 500ms;
  while (std::chrono::steady_clock::now() < end) {
    while (*process.send(R"({"op":"event"})") == Io::done) {
    }
    context.run_for(10ms);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  EXPECT_GE(seen.ops.size(), 20u);
  EXPECT_LE(seen.ops.size(), 35 + 10 * took.count());
}

asio::awaitable<void> call_into(IpcClient& client, json::object body, std::optional<Errc>& out) {
  std::vector<Fd> none;
  auto answer = co_await client.call(body, std::move(none), 30'000ms);
  if (!answer) out = answer.error().code;
}

TEST(IpcClient, AProcessThatReadsNothingLosesTheConnection) {
  asio::io_context context;
  auto pair = channel_pair();
  const Channel process(std::move(pair->second));
  int closed = 0;
  IpcClient::Handlers handlers;
  handlers.on_closed = [&closed](const Error&) { ++closed; };
  IpcClient client(context.get_executor(), std::move(pair->first), std::move(handlers));
  std::optional<Errc> ended;
  asio::co_spawn(context, call_into(client, {{"op", "status"}}, ended), asio::detached);
  context.run_for(10ms);
  for (int i = 0; i < 5'000; ++i) client.ack(i);
  run_until(context, [&] { return ended.has_value(); });
  EXPECT_EQ(closed, 1);
  EXPECT_FALSE(client.open());
  // Its caller does not wait for a deadline.
  EXPECT_EQ(ended, Errc::unavailable);
}

TEST(IpcClient, ARequestThatIsTooLongFailsAlone) {
  asio::io_context context;
  auto pair = channel_pair();
  IpcClient client(context.get_executor(), std::move(pair->first), {});
  std::optional<Errc> ended;
  json::object body = {{"op", "load"}, {"config", std::string(kMessageBytesMax, 'x')}};
  asio::co_spawn(context, call_into(client, body, ended), asio::detached);
  run_until(context, [&] { return ended.has_value(); });
  EXPECT_EQ(ended, Errc::too_large);
  EXPECT_TRUE(client.open());
}

}  // namespace
}  // namespace rap::ipc
