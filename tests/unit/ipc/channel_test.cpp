#include "host/ipc/channel.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/ipc/message.hpp"

namespace rap::ipc {
namespace {

struct Ends {
  Channel a, b;
};

Ends connected() {
  auto pair = channel_pair();
  if (!pair) throw std::runtime_error(pair.error().text());
  return {Channel(std::move(pair->first)), Channel(std::move(pair->second))};
}

TEST(Channel, CarriesWholeMessagesAndDescriptors) {
  Ends ends = connected();
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const Fd read_end(pipe_ends[0]);
  const Fd write_end(pipe_ends[1]);
  const int fds[] = {write_end.get()};
  EXPECT_EQ(*ends.a.send("first", fds), Io::done);
  EXPECT_EQ(*ends.a.send(std::string(kMessageBytesMax, 'x')), Io::done);
  Packet packet;
  ASSERT_EQ(*ends.b.receive(packet), Io::done);
  EXPECT_EQ(packet.text, "first");
  ASSERT_EQ(packet.fds.size(), 1u);
  EXPECT_EQ(write(packet.fds[0].get(), "!", 1), 1);
  EXPECT_NE(fcntl(packet.fds[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  char byte = 0;
  EXPECT_EQ(read(read_end.get(), &byte, 1), 1);
  ASSERT_EQ(*ends.b.receive(packet), Io::done);
  EXPECT_EQ(packet.text.size(), kMessageBytesMax);
  EXPECT_EQ(*ends.b.receive(packet), Io::again);
}

TEST(Channel, RefusesToSendMoreThanTheLimits) {
  Ends ends = connected();
  EXPECT_EQ(ends.a.send(std::string(kMessageBytesMax + 1, 'x')).error().code, Errc::too_large);
  const int fds[] = {0, 0, 0, 0, 0};
  EXPECT_EQ(ends.a.send("x", fds).error().code, Errc::too_large);
}

TEST(Channel, RefusesMoreThanTheLimitsFromAHostilePeer) {
  Ends ends = connected();
  const std::string big(kMessageBytesMax + 1, 'x');
  ASSERT_EQ(send(ends.a.fd(), big.data(), big.size(), 0), static_cast<ssize_t>(big.size()));
  Packet packet;
  auto got = ends.b.receive(packet);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Errc::malformed);
  EXPECT_TRUE(packet.fds.empty());
}

TEST(Channel, ReportsAFullQueueAndAGonePeer) {
  Ends ends = connected();
  const std::string block(32 << 10, 'x');
  Io last = Io::done;
  for (int i = 0; i < 1000 && last == Io::done; ++i) last = *ends.a.send(block);
  EXPECT_EQ(last, Io::again);
  ends.b.close();
  EXPECT_EQ(*ends.a.send("x"), Io::closed);
  Packet packet;
  EXPECT_EQ(*ends.a.receive(packet), Io::closed);
}

TEST(Channel, SocketPathsHaveALimit) {
  EXPECT_EQ(listen_at("/tmp/" + std::string(200, 'x')).error().code, Errc::invalid);
  EXPECT_EQ(connect_to("/nonexistent/socket").error().code, Errc::unavailable);
}

TEST(Message, RefusesWhatIsNotAMessage) {
  for (const char* text : {"", "x", "[]", "{}", "7", R"({"id":"1"})", R"({"op":"","id":null})",
                           R"({"op":"a","op":"b"})", "{\"op\":\"\xff\"}"}) {
    EXPECT_FALSE(parse_message({text, {}})) << text;
  }
  auto request = parse_message({R"({"op":"status","id":7,"extra":[1]})", {}});
  ASSERT_TRUE(request);
  EXPECT_EQ(request->op, "status");
  EXPECT_EQ(request->id, 7);
  EXPECT_FALSE(request->is_answer());
}

TEST(Message, AnswersBecomeOutcomes) {
  auto refused = parse_message({refusal_text(3, {Errc::forbidden, "not yours"}), {}});
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->is_answer());
  auto result = outcome(*std::move(refused));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::forbidden);
  EXPECT_EQ(result.error().detail, "not yours");
}

}  // namespace
}  // namespace rap::ipc
