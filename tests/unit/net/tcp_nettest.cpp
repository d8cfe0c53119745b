#include <gtest/gtest.h>

#include "base/crypto.hpp"
#include "base/net/net_error.hpp"
#include "base/net/task_group.hpp"
#include "base/net/tcp.hpp"
#include "base/net/timer.hpp"
#include "tests/support/run_task.hpp"

namespace rap::net {
namespace {

constexpr milliseconds kTimeout{3000};

Task<void> echo(Listener& listener) {
  auto stream = co_await listener.accept();
  Bytes piece(64 * 1024);
  for (;;) {
    const std::size_t n = co_await stream->read_some(piece);
    if (n == 0) break;
    co_await stream->write_all(ByteView(piece).first(n));
  }
  co_await stream->shutdown();
}

Task<void> send_all(ByteStream& stream, const Bytes& bytes) {
  co_await stream.write_all(bytes);
  co_await stream.shutdown();
}

Task<Bytes> round_trip(boost::asio::io_context& io, const Bytes& sent, const std::string& host) {
  auto listener = Listener::bind(io.get_executor(), HostPort{host, 0});
  TaskGroup tasks(io.get_executor());
  tasks.spawn("echo", echo(**listener));
  auto stream = co_await connect_tcp(host, (*listener)->local_address().port, kTimeout);
  tasks.spawn("send", send_all(*stream, sent));
  Bytes got(sent.size() + 1);
  std::size_t have = 0;
  for (;;) {
    const std::size_t n = co_await stream->read_some(std::span(got).subspan(have));
    if (n == 0) break;
    have += n;
  }
  got.resize(have);
  co_await tasks.drain(kTimeout);
  co_return got;
}

TEST(Tcp, CarriesBytesAndTheirEnd) {
  boost::asio::io_context io;
  const Bytes sent = random_bytes(5'000'000);
  EXPECT_TRUE(test::run_task(io, round_trip(io, sent, "127.0.0.1")) == sent);
}

TEST(Tcp, SaysWhyItDoesNotConnect) {
  boost::asio::io_context io;
  auto listener = Listener::bind(io.get_executor(), HostPort{"127.0.0.1", 0});
  const std::uint16_t port = (*listener)->local_address().port;
  EXPECT_EQ(Listener::bind(io.get_executor(), HostPort{"127.0.0.1", port}).error().code,
            Errc::conflict);
  EXPECT_FALSE(Listener::bind(io.get_executor(), HostPort{"192.0.2.1", 0}));
  (*listener)->close();
  listener->reset();
  for (const char* host : {"127.0.0.1", "no-such-host.invalid"}) {
    try {
      test::run_task(io, connect_tcp(host, port, kTimeout));
      FAIL();
    } catch (const NetError& error) {
      EXPECT_TRUE(error.code() == Errc::unavailable || error.code() == Errc::timeout)
          << error.what();
    }
  }
}

Task<void> read_forever(ByteStream& stream, std::optional<Errc>& code) {
  std::uint8_t byte = 0;
  try {
    co_await stream.read_some(std::span(&byte, 1));
  } catch (const NetError& error) {
    code = error.code();
  }
}

Task<void> close_while_reading(boost::asio::io_context& io, std::optional<Errc>& code) {
  StreamPair pair = make_stream_pair(io.get_executor());
  TaskGroup tasks(io.get_executor());
  tasks.spawn("read", read_forever(*pair.here, code));
  co_await sleep_for(milliseconds(5));
  pair.here->close();
  co_await tasks.drain(kTimeout);
}

TEST(Tcp, CloseEndsAPendingRead) {
  boost::asio::io_context io;
  std::optional<Errc> code;
  test::run_task(io, close_while_reading(io, code));
  EXPECT_EQ(code, Errc::cancelled);
}

Task<void> cancel_accept(Listener& listener) {
  TaskGroup tasks(co_await asio::this_coro::executor);
  tasks.spawn("accept", echo(listener));
  co_await tasks.drain(milliseconds(5));
}

TEST(Tcp, AcceptCanBeCancelled) {
  boost::asio::io_context io;
  auto listener = Listener::bind(io.get_executor(), HostPort{"127.0.0.1", 0});
  test::run_task(io, cancel_accept(**listener));
}

}  // namespace
}  // namespace rap::net
