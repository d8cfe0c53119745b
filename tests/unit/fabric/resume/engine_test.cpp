#include "fabric/resume/engine.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace rap::resume {
namespace {

class EngineTest : public ::testing::Test {
 protected:
  ResumeLimits limits;
  TimePoint now{std::chrono::hours(1)};

  EngineTest() { limits.window = 64 * 1024; }

  Engine make() { return Engine(limits, limits.window, now); }

  struct Said {
    std::vector<FrameHeader> headers;
    Bytes data;
    std::vector<FrameType> types() const {
      std::vector<FrameType> out;
      for (const auto& header : headers) out.push_back(header.type);
      return out;
    }
  };

  // Everything `engine` says now, given to `peer` as far as it is one.
  Said say(Engine& engine, Engine* peer = nullptr) {
    Said out;
    for (;;) {
      ByteView bytes = engine.output(now);
      if (bytes.empty()) return out;
      while (!bytes.empty()) {
        const auto header = decode_header(bytes.first<kHeaderBytes>(), Phase::streaming);
        EXPECT_TRUE(header) << header.error().text();
        out.headers.push_back(*header);
        bytes = bytes.subspan(kHeaderBytes);
        const ByteView body = bytes.first(header->length);
        bytes = bytes.subspan(header->length);
        out.data.insert(out.data.end(), body.begin(), body.end());
        if (peer == nullptr) continue;
        EXPECT_TRUE(peer->frame(*header, now));
        if (!body.empty()) peer->data(body, {}, now);
      }
      engine.written();
    }
  }

  void hear(Engine& engine, FrameType type, std::uint64_t value) {
    const Status ok = engine.frame({type, 0, value}, now);
    EXPECT_TRUE(ok) << ok.error().text();
  }

  Bytes read_all(Engine& engine) {
    Bytes out(engine.unread());
    if (!out.empty()) {
      EXPECT_EQ(engine.read(out, now), out.size());
    }
    return out;
  }
};

using Types = std::vector<FrameType>;

TEST_F(EngineTest, AKeystrokeIsOneFrameAtOnce) {
  Engine engine = make();
  EXPECT_FALSE(engine.has_output(now));
  EXPECT_EQ(engine.write(as_bytes("x"), now), 1u);
  const Said said = say(engine);
  EXPECT_EQ(said.types(), Types{FrameType::data});
  EXPECT_EQ(said.data, to_bytes("x"));
  EXPECT_FALSE(engine.has_output(now));
}

TEST_F(EngineTest, BytesAreKeptUntilTheOtherUserTookThem) {
  Engine a = make();
  Engine b = make();
  a.write(as_bytes("hello"), now);
  say(a, &b);
  EXPECT_EQ(b.unread(), 5u);
  say(b, &a);
  EXPECT_EQ(a.unacknowledged(), 5u);
  EXPECT_EQ(as_text(read_all(b)), "hello");
  EXPECT_FALSE(b.has_output(now));  // no hurry
  EXPECT_LE(b.deadline(), now + limits.ack_delay);
  now += limits.ack_delay;
  EXPECT_TRUE(b.on_time(now));
  EXPECT_EQ(say(b, &a).types(), Types{FrameType::ack});
  EXPECT_EQ(a.unacknowledged(), 0u);
  EXPECT_EQ(a.memory(), 0u);
}

TEST_F(EngineTest, AnAcknowledgementRidesWithData) {
  Engine a = make();
  Engine b = make();
  a.write(as_bytes("k"), now);
  say(a, &b);
  read_all(b);
  b.write(as_bytes("k"), now);
  EXPECT_EQ(say(b, &a).types(), (Types{FrameType::ack, FrameType::data}));
  EXPECT_EQ(a.unacknowledged(), 0u);
}

TEST_F(EngineTest, AQuarterOfTheWindowIsAcknowledgedAtOnce) {
  Engine a = make();
  Engine b = make();
  a.write(Bytes(limits.window / 4), now);
  say(a, &b);
  read_all(b);
  EXPECT_TRUE(b.has_output(now));
}

TEST_F(EngineTest, WritingStopsAtTheSmallerWindow) {
  Engine engine(limits, 20'000, now);
  EXPECT_EQ(engine.write(Bytes(30'000), now), 20'000u);
  EXPECT_EQ(engine.write(Bytes(1), now), 0u);
  say(engine);
  EXPECT_FALSE(engine.has_room());
  hear(engine, FrameType::ack, 7'000);
  EXPECT_EQ(engine.write(Bytes(30'000), now), 7'000u);
}

TEST_F(EngineTest, ASenderWhoseDataNobodyTakesHearsThatTheyMove) {
  Engine a = make();
  Engine b = make();
  a.write(as_bytes("one"), now);
  say(a, &b);
  now += milliseconds(1'500);
  a.write(as_bytes("two"), now);
  say(a, &b);
  EXPECT_EQ(say(b, &a).types(), Types{FrameType::ack});
  EXPECT_EQ(a.unacknowledged(), 6u);
}

TEST_F(EngineTest, GoesOnWhereTheOtherEndStopped) {
  Engine a = make();
  Engine b = make();
  Bytes sent(50'000);
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::uint8_t>(i * 7);
  a.write(sent, now);
  a.end(now);
  // The transport dies in the middle of the frame.
  const ByteView output = a.output(now);
  ASSERT_EQ(output.size(), kHeaderBytes + sent.size());
  const auto header = decode_header(output.first<kHeaderBytes>(), Phase::streaming);
  ASSERT_TRUE(b.frame(*header, now));
  b.data(output.subspan(kHeaderBytes, 12'345), {}, now);
  Bytes got = read_all(b);
  a.detach();
  b.detach();
  ASSERT_TRUE(a.attach(b.next_in(), now));
  ASSERT_TRUE(b.attach(a.next_in(), now));
  EXPECT_EQ(b.next_in(), 12'345u);
  say(a, &b);
  const Bytes rest = read_all(b);
  got.insert(got.end(), rest.begin(), rest.end());
  EXPECT_TRUE(got == sent);
  EXPECT_TRUE(b.in_ended());
  EXPECT_EQ(a.resent(), sent.size() - 12'345);
  say(b, &a);
  EXPECT_EQ(a.unacknowledged(), 0u);
}

TEST_F(EngineTest, ALostEndAndALostAcknowledgementAreSaidAgain) {
  Engine a = make();
  Engine b = make();
  a.write(as_bytes("x"), now);
  say(a, &b);
  a.end(now);
  say(a);  // lost
  read_all(b);
  now += limits.ack_delay;
  b.on_time(now);
  say(b);  // lost
  a.detach();
  b.detach();
  ASSERT_TRUE(a.attach(b.next_in(), now));
  ASSERT_TRUE(b.attach(a.next_in(), now));
  say(a, &b);
  EXPECT_TRUE(b.in_ended());
  say(b, &a);
  b.end(now);
  say(b, &a);
  say(a, &b);
  EXPECT_TRUE(a.finished());
  EXPECT_TRUE(b.finished());
}

TEST_F(EngineTest, WhatIsBeingWrittenStaysWhateverThePeerAcknowledges) {
  Engine engine = make();
  engine.write(Bytes(1'000, 7), now);
  const ByteView output = engine.output(now);
  hear(engine, FrameType::ack, 1'000);  // of bytes that have not left
  EXPECT_GT(engine.memory(), 0u);
  EXPECT_EQ(output.back(), 7);  // the sanitizers look here
  engine.written();
  EXPECT_EQ(engine.memory(), 0u);
}

TEST_F(EngineTest, AsksWhenItIsSilentAndGivesUp) {
  Engine engine = make();
  now += limits.probe_idle - milliseconds(1);
  EXPECT_TRUE(engine.on_time(now));
  EXPECT_FALSE(engine.has_output(now));
  engine.write(as_bytes("k"), now);  // somebody waits from now on
  EXPECT_EQ(say(engine).types(), Types{FrameType::data});
  EXPECT_EQ(engine.deadline(), now + limits.probe_busy);
  now += limits.probe_busy;
  EXPECT_TRUE(engine.on_time(now));
  EXPECT_EQ(say(engine).types(), Types{FrameType::ping});
  now += limits.probe_timeout - milliseconds(1);
  EXPECT_TRUE(engine.on_time(now));
  now += milliseconds(1);
  EXPECT_FALSE(engine.on_time(now));
  hear(engine, FrameType::pong, 0);
  EXPECT_TRUE(engine.on_time(now));
}

TEST_F(EngineTest, ManyQuestionsGetOneAnswer) {
  Engine engine = make();
  for (std::uint64_t i = 0; i < 1'000; ++i) hear(engine, FrameType::ping, i);
  const Said said = say(engine);
  ASSERT_EQ(said.types(), Types{FrameType::pong});
  EXPECT_EQ(said.headers[0].value, 999u);
}

TEST_F(EngineTest, CloseComesBeforeEverythingElse) {
  Engine engine = make();
  engine.write(Bytes(10'000), now);
  engine.close(CloseReason::user);
  EXPECT_EQ(say(engine).types(), Types{FrameType::close});
  EXPECT_TRUE(engine.close_sent());
}

TEST_F(EngineTest, ManySmallFramesTakeNoMoreMemoryThanTheirBytes) {
  Engine engine = make();
  const std::uint8_t byte = 1;
  for (std::uint64_t i = 0; i < limits.window; ++i) {
    ASSERT_TRUE(engine.frame({FrameType::data, 1, i}, now));
    engine.data(ByteView(&byte, 1), {}, now);
  }
  EXPECT_LE(engine.memory(), limits.window + 2 * BlockQueue::kLargeBytes);
  EXPECT_EQ(engine.frame({FrameType::data, 1, limits.window}, now).error().code, Errc::too_large);
}

struct HostileFrame {
  const char* what;
  FrameHeader header;
};

class HostileFrames : public EngineTest, public ::testing::WithParamInterface<HostileFrame> {};

// After: 10 bytes came, 5 of ours were sent and 3 of them acknowledged.
TEST_P(HostileFrames, AreRefused) {
  Engine engine = make();
  ASSERT_TRUE(engine.frame({FrameType::data, 10, 0}, now));
  engine.data(Bytes(10), {}, now);
  engine.write(Bytes(5), now);
  say(engine);
  hear(engine, FrameType::ack, 3);
  EXPECT_FALSE(engine.frame(GetParam().header, now));
}

const HostileFrame kHostile[] = {
    {"Repeated", {FrameType::data, 10, 0}},
    {"Overlapping", {FrameType::data, 10, 9}},
    {"WithAGap", {FrameType::data, 1, 11}},
    {"MoreThanTheWindow", {FrameType::data, 65'536, 10}},
    {"EndTooEarly", {FrameType::end, 0, 9}},
    {"EndTooLate", {FrameType::end, 0, 11}},
    {"AckOfUnsent", {FrameType::ack, 0, 6}},
    {"AckGoesBack", {FrameType::ack, 0, 2}},
    {"AckOfEverything", {FrameType::ack, 0, kOffsetMax}},
    {"AnOpening", {FrameType::hello, 40, 0}},
};
INSTANTIATE_TEST_SUITE_P(All, HostileFrames, ::testing::ValuesIn(kHostile),
                         [](const auto& test) { return std::string(test.param.what); });

TEST_F(EngineTest, NothingMayFollowTheEnd) {
  Engine engine = make();
  hear(engine, FrameType::end, 0);
  EXPECT_FALSE(engine.frame({FrameType::data, 1, 0}, now));
  EXPECT_FALSE(engine.frame({FrameType::data, 1, 1}, now));
  EXPECT_FALSE(engine.frame({FrameType::end, 0, 1}, now));
}

TEST_F(EngineTest, APeerCannotWantWhatItHasTakenOrWhatWasNeverSent) {
  Engine engine = make();
  engine.write(Bytes(5), now);
  say(engine);
  hear(engine, FrameType::ack, 3);
  engine.detach();
  EXPECT_FALSE(engine.attach(2, now));
  EXPECT_FALSE(engine.attach(6, now));
  EXPECT_FALSE(engine.attach(~0ull, now));
  EXPECT_TRUE(engine.attach(4, now));
}

}  // namespace
}  // namespace rap::resume
