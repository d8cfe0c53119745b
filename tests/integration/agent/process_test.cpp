// What the agent takes from a process that does not keep to the limits of rap-worker: the test is
// the process, at the other end of the agent's own connection.
#include <boost/asio/detached.hpp>

#include "tests/integration/agent/supervision_rig.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;

struct HostileProcess {
  explicit HostileProcess(Fd socket) : listening(std::move(socket)) {}

  bool accept() {
    channel = ipc::Channel(Fd(::accept(listening.get(), nullptr, nullptr)));
    return static_cast<bool>(channel);
  }
  // Every answer and request of the agent that is there by now.
  std::vector<ipc::Message> received() {
    std::vector<ipc::Message> out;
    while (true) {
      ipc::Packet packet;
      auto got = channel.receive(packet);
      if (!got || *got != ipc::Io::done) return out;
      out.push_back(ipc::parse_message(std::move(packet)).value());
    }
  }
  void ask(std::int64_t id) {
    const json::object body{{"op", "stream.open"}, {"id", id}, {"target", "t"}};
    EXPECT_EQ(channel.send(json::serialize(body)).value(), ipc::Io::done);
  }

  Fd listening;
  ipc::Channel channel;
};

net::Task<void> connect(Process& process, bool& done) {
  auto hello = co_await process.connect(test::kPatience);
  EXPECT_TRUE(hello);
  done = true;
}

void greet(Life& life, Process& process, HostileProcess& other) {
  bool done = false;
  net::asio::co_spawn(life.io, connect(process, done), net::asio::detached);
  ASSERT_TRUE(life.until([&] { return process.connected(); }));
  ASSERT_TRUE(other.accept());
  std::vector<ipc::Message> got;
  ASSERT_TRUE(life.until([&] {
    got = other.received();
    return !got.empty();
  }));
  EXPECT_EQ(*other.channel.send(ipc::answer_text(*got.at(0).id, {{"kind", "session"}})),
            ipc::Io::done);
  ASSERT_TRUE(life.until([&] { return done; }));
}

TEST_F(Supervision, AProcessThatAsksWithoutEndIsRefused) {
  Life life(config_, 1);
  InstanceRecord record;
  record.name = "s-hostile";
  record.kind = InstanceKind::session;
  record.nonce = new_nonce();
  std::vector<std::int64_t> asked;
  Process process(life.context, record,
                  [&](ipc::Message message) { asked.push_back(*message.id); });
  auto listening = process.prepare();
  ASSERT_TRUE(listening);
  HostileProcess other(std::move(*listening));
  greet(life, process, other);
  for (int id = 1; id <= 100; ++id) other.ask(id);
  for (int i = 0; i < 50; ++i) other.ask(1);  // while the first is being answered
  std::size_t refused = 0;
  EXPECT_TRUE(life.until([&] {
    for (const ipc::Message& message : other.received()) {
      EXPECT_EQ(message.body->at("code"), "exhausted");
      ++refused;
    }
    return refused >= 76;
  }));
  EXPECT_EQ(asked.size(), 24u);
  EXPECT_EQ(life.context.counters.requests_refused, 76u);
  // Each answer makes room for one.
  process.answer(7, {});
  other.ask(200);
  other.ask(201);
  EXPECT_TRUE(life.until([&] { return life.context.counters.requests_refused == 77; }));
  EXPECT_EQ(asked.back(), 200);
  EXPECT_EQ(asked.size(), 25u);
  // A new connection is no way around it; what waits is answered there.
  other.channel.close();
  EXPECT_TRUE(life.until([&] { return !process.connected(); }));
  greet(life, process, other);
  for (int id = 300; id < 310; ++id) other.ask(id);
  EXPECT_TRUE(life.until([&] { return life.context.counters.requests_refused == 87; }));
  EXPECT_EQ(asked.size(), 25u);
  process.forget();
}

}  // namespace
}  // namespace rap::agent
