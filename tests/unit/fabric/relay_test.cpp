#include <gtest/gtest.h>

#include "base/crypto.hpp"
#include "base/net/timer.hpp"
#include "fabric/relay/splice.hpp"
#include "tests/support/memory_stream.hpp"
#include "tests/support/run_task.hpp"
#include "tests/support/run_until.hpp"

namespace rap::fabric {
namespace {

using namespace std::chrono_literals;
using net::milliseconds;
using net::NetError;
using net::Task;

const TokenBucket::TimePoint kStart{};

TEST(TokenBucket, LetsABurstGoAndThenTheRate) {
  TokenBucket bucket(1'000'000, 10'000, kStart);
  EXPECT_EQ(bucket.charge(10'000, kStart), 0ns);
  EXPECT_EQ(bucket.charge(1'000, kStart), 1ms);
  EXPECT_EQ(bucket.charge(1'000, kStart), 2ms);  // the debt of the one before delays it
  EXPECT_EQ(bucket.charge(2'000, kStart + 2ms), 2ms);
  EXPECT_EQ(bucket.charge(10'000, kStart + 1h), 0ns);  // no more than the burst is saved
  EXPECT_GT(bucket.charge(1, kStart + 1h), 0ns);
  EXPECT_GT(bucket.charge(1, kStart), 0ns);  // a clock that goes back gives nothing
}

TEST(TokenBucket, ZeroIsNoLimit) {
  TokenBucket bucket(0, 0, kStart);
  EXPECT_EQ(bucket.charge(1'000'000'000, kStart), 0ns);
}

TEST(Traffic, CountsStreamsOfAnOrganizationAndRefusesMore) {
  TrafficLimits limits;
  limits.streams_max = 2;
  Traffic traffic(limits);
  auto a = traffic.open("org_a", kStart);
  auto b = traffic.open("org_a", kStart);
  EXPECT_TRUE(a && b);
  EXPECT_FALSE(traffic.open("org_a", kStart));
  EXPECT_TRUE(traffic.open("org_b", kStart));
  a.reset();
  EXPECT_TRUE(traffic.open("org_a", kStart));
  EXPECT_EQ(traffic.counts("org_a").streams_refused, 1u);
  EXPECT_EQ(traffic.counts("org_a").streams, 3u);
  EXPECT_EQ(traffic.counts("org_b").open, 0u);
}

// client A -- relay -- server B, over memory. B serves by authority as below.
class RelayTest : public ::testing::Test {
 protected:
  boost::asio::io_context io;
  H2Limits limits;
  std::shared_ptr<H2Connection> a, in, out, b;
  std::shared_ptr<Splice> splice;
  std::optional<SpliceEnd> ended;
  std::optional<TrafficLimits> traffic_limits;
  Traffic traffic;
  std::size_t swallowed = 0;
  std::optional<Errc> far_error;

  void start() {
    auto first = test::make_memory_pair(io.get_executor());
    auto second = test::make_memory_pair(io.get_executor());
    limits.life = H2Limits::Life::lasting;
    ConnectHandler relay = [this](std::unique_ptr<IncomingConnect> i) {
      return relay_one(std::move(i));
    };
    ConnectHandler serve = [this](std::unique_ptr<IncomingConnect> i) {
      return serve_one(std::move(i));
    };
    a = H2Connection::make_client(io.get_executor(), std::move(first.a), limits);
    in = H2Connection::make_server(io.get_executor(), std::move(first.b), limits, std::move(relay));
    out = H2Connection::make_client(io.get_executor(), std::move(second.a), limits);
    b = H2Connection::make_server(io.get_executor(), std::move(second.b), limits, std::move(serve));
    for (const auto& connection : {a, in, out, b}) connection->start();
  }
  ~RelayTest() override {
    splice.reset();
    for (const auto& connection : {a, in, out, b}) {
      if (connection) connection->close();
    }
    io.restart();
    io.run_for(milliseconds(100));
  }

  Task<void> relay_one(std::unique_ptr<IncomingConnect> incoming) {
    ConnectRequest request = incoming->request();
    ConnectAnswer answer = co_await out->connect(std::move(request));
    if (!answer.stream) {
      incoming->refuse(answer.status, answer.headers);
      co_return;
    }
    SpliceOptions options;
    if (traffic_limits) {
      const auto now = std::chrono::steady_clock::now();
      traffic.set_limits("org", *traffic_limits, now);
      options.slot = traffic.open("org", now);
    }
    options.done = [this](const SpliceEnd& end) { ended = end; };
    splice = splice_streams(io.get_executor(), incoming->accept(), std::move(answer.stream),
                            std::move(options));
  }
  // "echo:1"; "sink:1" reads all and answers its size; "hang:1" reads nothing; "cut:1" resets.
  Task<void> serve_one(std::unique_ptr<IncomingConnect> incoming) {
    const std::string what = incoming->request().authority;
    auto stream = incoming->accept();
    if (what == "hang:1") {
      co_await net::sleep_for(milliseconds(60'000));
      co_return;
    }
    Bytes buffer(50'000);
    if (what == "cut:1") {
      (void)co_await stream->read_some(buffer);
      co_return;
    }
    try {
      for (;;) {
        const std::size_t n = co_await stream->read_some(buffer);
        if (n == 0) break;
        swallowed += n;
        if (what == "echo:1") co_await stream->write_all(ByteView(buffer).first(n));
      }
    } catch (const NetError& error) {
      far_error = error.code();
      co_return;
    }
    if (what == "sink:1") co_await stream->write_all(to_bytes(std::to_string(swallowed)));
    co_await stream->shutdown();
  }
  std::unique_ptr<H2Stream> open(const std::string& what) {
    ConnectRequest request;
    request.authority = what;
    return test::run_task(io, a->connect(std::move(request))).stream;
  }
};

Task<void> send_all(net::ByteStream& stream, const Bytes& bytes) {
  co_await stream.write_all(bytes);
  co_await stream.shutdown();
}

Task<Bytes> round_trip(net::ByteStream& stream, const Bytes& bytes) {
  net::TaskGroup tasks(co_await net::asio::this_coro::executor);
  tasks.spawn("send", send_all(stream, bytes));
  Bytes out;
  Bytes piece(30'000);
  for (;;) {
    const std::size_t n = co_await stream.read_some(piece);
    if (n == 0) break;
    out.insert(out.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(n));
  }
  co_await tasks.drain(milliseconds(5'000));
  co_return out;
}

TEST_F(RelayTest, CarriesBytesBothWaysAndEndsInOrder) {
  for (const std::size_t size : {0u, 1u, 65'527u, 65'528u, 3'000'000u}) {
    SCOPED_TRACE(size);
    ended.reset();
    start();
    auto stream = open("echo:1");
    ASSERT_TRUE(stream);
    const Bytes sent = random_bytes(size);
    EXPECT_TRUE(test::run_task(io, round_trip(*stream, sent)) == sent);
    ASSERT_TRUE(test::run_until(io, [&] { return ended.has_value(); }));
    EXPECT_FALSE(ended->why);
    EXPECT_EQ(ended->up, size);
    EXPECT_EQ(ended->down, size);
  }
}

TEST_F(RelayTest, AnEndOfOneDirectionGoesOnAndTheOtherStays) {
  start();
  auto stream = open("sink:1");
  const Bytes answer = test::run_task(io, round_trip(*stream, random_bytes(700'000)));
  EXPECT_EQ(as_text(answer), "700000");
}

Task<Errc> read_error(net::ByteStream& stream) {
  Bytes piece(10);
  try {
    co_await stream.write_all(piece);
    co_await stream.read_some(piece);
  } catch (const NetError& error) {
    co_return error.code();
  }
  co_return Errc::internal;
}

TEST_F(RelayTest, AResetGoesOnBothWays) {
  start();
  auto stream = open("cut:1");
  EXPECT_EQ(test::run_task(io, read_error(*stream)), Errc::unavailable);
  ASSERT_TRUE(test::run_until(io, [&] { return ended.has_value(); }));
  EXPECT_TRUE(ended->why);

  ended.reset();
  auto other = open("echo:1");
  test::run_task(io, net::sleep_for(milliseconds(20)));
  other->reset();
  EXPECT_TRUE(test::run_until(io, [&] { return ended && far_error == Errc::unavailable; }));
  EXPECT_EQ(far_error, Errc::unavailable);
}

TEST_F(RelayTest, ALostConnectionEndsTheOtherSide) {
  start();
  auto stream = open("echo:1");
  out->close();
  EXPECT_NE(test::run_task(io, read_error(*stream)), Errc::internal);
  EXPECT_TRUE(test::run_until(io, [&] { return ended.has_value(); }));
}

Task<std::size_t> write_until_stuck(net::ByteStream& stream) {
  const Bytes piece(1000, 'x');
  std::size_t written = 0;
  for (;;) {
    try {
      co_await net::with_deadline(stream.write_all(piece), milliseconds(100));
    } catch (const NetError&) {
      break;
    }
    written += piece.size();
  }
  co_return written;
}

TEST_F(RelayTest, AReaderThatStopsStopsTheSenderAtTheOtherEnd) {
  start();
  auto stuck = open("hang:1");
  const std::size_t written = test::run_task(io, write_until_stuck(*stuck));
  // One window between relay and reader, one between sender and relay.
  EXPECT_LE(written, 2u * static_cast<std::size_t>(limits.stream_window));
  auto other = open("echo:1");
  const Bytes sent = random_bytes(1'000'000);
  EXPECT_TRUE(test::run_task(io, round_trip(*other, sent)) == sent);
}

TEST_F(RelayTest, UnreadBytesOfResetStreamsDoNotClogTheConnection) {
  start();
  for (int i = 0; i < 10; ++i) {
    auto stuck = open("hang:1");
    test::run_task(io, write_until_stuck(*stuck));
    stuck->reset();
  }
  test::run_task(io, net::sleep_for(milliseconds(20)));
  auto other = open("echo:1");
  const Bytes sent = random_bytes(1'000'000);
  EXPECT_TRUE(test::run_task(io, round_trip(*other, sent)) == sent);
}

TEST_F(RelayTest, AnOrganizationGoesNoFasterThanItMay) {
  traffic_limits = TrafficLimits{};
  traffic_limits->bytes_per_s = 4'000'000;
  traffic_limits->burst_bytes = 100'000;
  start();
  auto stream = open("sink:1");
  const auto began = std::chrono::steady_clock::now();
  const Bytes answer = test::run_task(io, round_trip(*stream, random_bytes(1'500'000)));
  EXPECT_EQ(as_text(answer), "1500000");
  // 1.5 MB less the burst and two windows that need no leave: over 0.2 s at 4 MB/s.
  EXPECT_GT(std::chrono::steady_clock::now() - began, 150ms);
  EXPECT_GT(traffic.counts("org").pauses, 0u);
  EXPECT_TRUE(test::run_until(io, [&] { return traffic.counts("org").open == 0; }));
}

TEST_F(RelayTest, IsCutFromOutside) {
  start();
  auto stream = open("echo:1");
  splice->cut();
  EXPECT_NE(test::run_task(io, read_error(*stream)), Errc::internal);
  ASSERT_TRUE(test::run_until(io, [&] { return ended.has_value(); }));
  EXPECT_EQ(ended->why->code, Errc::cancelled);
}

}  // namespace
}  // namespace rap::fabric
