#include <gtest/gtest.h>

#include <cstring>

#include <boost/asio/co_spawn.hpp>

#include "base/crypto.hpp"
#include "base/net/timer.hpp"
#include "fabric/h2/connection.hpp"
#include "tests/support/memory_stream.hpp"
#include "tests/support/run_task.hpp"

namespace rap::fabric {
namespace {

using net::ByteStreamPtr;
using net::milliseconds;
using net::NetError;
using net::Task;
using net::TaskGroup;

constexpr milliseconds kTimeout{10'000};

class H2Test : public ::testing::Test {
 protected:
  boost::asio::io_context io;
  H2Limits limits;
  std::shared_ptr<H2Connection> server;
  std::shared_ptr<H2Connection> client;
  int handled = 0;

  ~H2Test() override {
    if (client) client->close();
    if (server) server->close();
    client.reset();
    server.reset();
    io.restart();
    io.run_for(milliseconds(200));
  }

  void start_server(ByteStreamPtr transport) {
    ConnectHandler handler = [this](std::unique_ptr<IncomingConnect> incoming) {
      return serve(std::move(incoming));
    };
    server = H2Connection::make_server(io.get_executor(), std::move(transport), limits,
                                       std::move(handler));
    server->start();
  }

  void start_both() {
    auto pair = test::make_memory_pair(io.get_executor());
    start_server(std::move(pair.b));
    client = H2Connection::make_client(io.get_executor(), std::move(pair.a), limits);
    client->start();
  }

  // By authority: "echo", "refuse", "swallow" (reads nothing), "hang" (never answers).
  Task<void> serve(std::unique_ptr<IncomingConnect> incoming) {
    ++handled;
    const std::string what = incoming->request().authority;
    if (what == "refuse:1") {
      net::HttpHeaders headers;
      headers.set("rap-error", "forbidden");
      incoming->refuse(403, headers);
      co_return;
    }
    if (what == "hang:1") {
      co_await net::sleep_for(milliseconds(60'000));
      co_return;
    }
    if (what == "drop:1") co_return;
    ByteStreamPtr stream = incoming->accept();
    if (what == "swallow:1") {
      co_await net::sleep_for(milliseconds(60'000));
      co_return;
    }
    Bytes buffer(50'000);
    for (;;) {
      const std::size_t n = co_await stream->read_some(buffer);
      if (n == 0) break;
      co_await stream->write_all(ByteView(buffer).first(n));
    }
    co_await stream->shutdown();
  }

  Task<ConnectAnswer> connect(std::string authority) {
    ConnectRequest request;
    request.authority = std::move(authority);
    return client->connect(std::move(request));
  }
};

Task<void> send_all(net::ByteStream& stream, const Bytes& bytes) {
  co_await stream.write_all(bytes);
  co_await stream.shutdown();
}

Task<Bytes> receive_all(net::ByteStream& stream) {
  Bytes out;
  Bytes piece(30'000);
  for (;;) {
    const std::size_t n = co_await stream.read_some(piece);
    if (n == 0) break;
    out.insert(out.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(n));
  }
  co_return out;
}

Task<Bytes> round_trip(net::ByteStream& stream, const Bytes& bytes) {
  TaskGroup tasks(co_await net::asio::this_coro::executor);
  tasks.spawn("send", send_all(stream, bytes));
  Bytes out = co_await receive_all(stream);
  co_await tasks.drain(kTimeout);
  co_return out;
}

TEST_F(H2Test, CarriesBytesBothWaysAndEndsInOrder) {
  start_both();
  for (const std::size_t size : {0u, 1u, 65'526u, 65'527u, 65'528u, 3'000'000u}) {
    SCOPED_TRACE(size);
    auto pair = test::make_memory_pair(io.get_executor());
    const Bytes sent = random_bytes(size);
    start_both();
    ConnectAnswer answer = test::run_task(io, connect("echo:1"));
    ASSERT_EQ(answer.status, 200u);
    ASSERT_TRUE(answer.stream);
    const Bytes got = test::run_task(io, round_trip(*answer.stream, sent));
    EXPECT_TRUE(got == sent);
    answer.stream.reset();
    test::run_task(io, client->ended());  // with its last stream
    test::run_task(io, server->ended());
  }
}

Task<void> many(H2Test&, std::vector<ByteStreamPtr>& streams, const Bytes& sent, int& good) {
  for (auto& stream : streams) {
    const Bytes got = co_await round_trip(*stream, sent);
    if (got == sent) ++good;
  }
}

TEST_F(H2Test, ManyStreamsShareAConnection) {
  start_both();
  std::vector<ByteStreamPtr> streams;
  for (int i = 0; i < 50; ++i) {
    streams.push_back(test::run_task(io, connect("echo:1")).stream);
    ASSERT_TRUE(streams.back());
  }
  int good = 0;
  test::run_task(io, many(*this, streams, random_bytes(100'000), good));
  EXPECT_EQ(good, 50);
}

TEST_F(H2Test, ARefusalCarriesItsReason) {
  start_both();
  ConnectAnswer answer = test::run_task(io, connect("refuse:1"));
  EXPECT_EQ(answer.status, 403u);
  EXPECT_FALSE(answer.stream);
  EXPECT_EQ(answer.headers.find("rap-error"), "forbidden");
}

TEST_F(H2Test, AnUnansweredRequestIsReset) {
  start_both();
  EXPECT_THROW(test::run_task(io, connect("drop:1")), NetError);
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

TEST_F(H2Test, ASlowReaderStopsItsWriterAndNobodyElse) {
  start_both();
  ConnectAnswer swallow = test::run_task(io, connect("swallow:1"));
  const std::size_t written = test::run_task(io, write_until_stuck(*swallow.stream));
  EXPECT_LE(written, static_cast<std::size_t>(limits.stream_window));
  EXPECT_GE(written, static_cast<std::size_t>(limits.window_before));
  ConnectAnswer echo = test::run_task(io, connect("echo:1"));
  const Bytes sent = random_bytes(2'000'000);
  EXPECT_TRUE(test::run_task(io, round_trip(*echo.stream, sent)) == sent);
}

TEST_F(H2Test, UnreadBytesOfAClosedStreamDoNotClogTheConnection) {
  start_both();
  ConnectAnswer keeps_it_open = test::run_task(io, connect("echo:1"));
  for (int i = 0; i < 10; ++i) {
    ConnectAnswer swallow = test::run_task(io, connect("swallow:1"));
    test::run_task(io, write_until_stuck(*swallow.stream));
    swallow.stream->close();
  }
  ConnectAnswer echo = test::run_task(io, connect("echo:1"));
  const Bytes sent = random_bytes(10'000);
  EXPECT_TRUE(test::run_task(io, round_trip(*echo.stream, sent)) == sent);
}

Task<Errc> read_error(net::ByteStream& stream) {
  std::uint8_t byte = 0;
  try {
    co_await stream.read_some(std::span(&byte, 1));
  } catch (const NetError& error) {
    co_return error.code();
  }
  co_return Errc::internal;
}

TEST_F(H2Test, ALostConnectionFailsItsStreams) {
  start_both();
  ConnectAnswer answer = test::run_task(io, connect("echo:1"));
  server->close();
  EXPECT_EQ(test::run_task(io, read_error(*answer.stream)), Errc::unavailable);
  EXPECT_THROW(test::run_task(io, connect("echo:1")), NetError);
}

TEST_F(H2Test, DrainLetsOpenStreamsGoOnAndTakesNoNewOnes) {
  start_both();
  ConnectAnswer answer = test::run_task(io, connect("echo:1"));
  server->drain();
  test::run_task(io, net::sleep_for(milliseconds(10)));
  EXPECT_THROW(test::run_task(io, connect("echo:1")), NetError);
  const Bytes sent = random_bytes(100'000);
  EXPECT_TRUE(test::run_task(io, round_trip(*answer.stream, sent)) == sent);
  answer.stream.reset();
  test::run_task(io, server->ended());
}

TEST_F(H2Test, AnIdleConnectionEnds) {
  limits.idle_timeout = milliseconds(40);
  start_both();
  test::run_task(io, server->ended());
  test::run_task(io, client->ended());
}

TEST_F(H2Test, AConnectionWithoutAnAcceptedStreamEndsWhateverItAsksFor) {
  limits.stranger_timeout = milliseconds(60);
  start_both();
  ConnectAnswer refused = test::run_task(io, connect("refuse:1"));
  EXPECT_EQ(refused.status, 403u);
  EXPECT_THROW(test::run_task(io, connect("hang:1")), NetError);
  test::run_task(io, server->ended());
}

TEST_F(H2Test, AStrangerIsRefusedEightTimes) {
  limits.stranger_timeout = milliseconds(20'000);
  start_both();
  // A client ends with its last stream; this one stays.
  net::asio::co_spawn(io, connect("hang:1"), [](std::exception_ptr, ConnectAnswer) {});
  for (int i = 0; i < 8; ++i) {
    ConnectAnswer refused = test::run_task(io, connect("refuse:1"));
    EXPECT_EQ(refused.status, 403u) << i;
  }
  EXPECT_THROW(test::run_task(io, connect("refuse:1")), NetError);
  test::run_task(io, server->ended());
  EXPECT_EQ(handled, 9);
}

TEST_F(H2Test, WhoeverHadAStreamMayBeRefusedMoreOften) {
  limits.stranger_timeout = milliseconds(60);
  start_both();
  ConnectAnswer answer = test::run_task(io, connect("echo:1"));
  ASSERT_TRUE(answer.stream);
  test::run_task(io, net::sleep_for(milliseconds(120)));
  for (int i = 0; i < 12; ++i) {
    ConnectAnswer refused = test::run_task(io, connect("refuse:1"));
    EXPECT_EQ(refused.status, 403u) << i;
  }
  EXPECT_EQ(test::run_task(io, round_trip(*answer.stream, to_bytes("still here"))),
            to_bytes("still here"));
}

TEST_F(H2Test, ASilentPeerIsGivenUp) {
  limits.ping_after = milliseconds(20);
  limits.ping_timeout = milliseconds(40);
  auto pair = test::make_memory_pair(io.get_executor());
  start_server(std::move(pair.b));
  limits.idle_timeout = milliseconds(60'000);
  test::run_task(io, server->ended());
}

// --- hostile clients, by hand --------------------------------------------------------------

std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                  const std::string& payload) {
  std::string out;
  const auto size = static_cast<std::uint32_t>(payload.size());
  out += static_cast<char>(size >> 16);
  out += static_cast<char>(size >> 8);
  out += static_cast<char>(size);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(stream >> shift);
  return out + payload;
}

// A literal header without indexing and without Huffman.
std::string header(const std::string& name, const std::string& value) {
  const auto text = [](const std::string& s) {
    std::string out;
    if (s.size() < 127) {
      out += static_cast<char>(s.size());
    } else {
      out += static_cast<char>(127);
      std::size_t rest = s.size() - 127;
      while (rest >= 128) {
        out += static_cast<char>(rest % 128 + 128);
        rest /= 128;
      }
      out += static_cast<char>(rest);
    }
    return out + s;
  };
  return std::string(1, '\0') + text(name) + text(value);
}

const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "");

std::string connect_headers() {
  return header(":method", "CONNECT") + header(":authority", "hang:1");
}

struct Raw {
  std::string answer;
  bool ended = false;
};

Task<void> read_raw(net::ByteStream& stream, Raw& out) {
  Bytes piece(4096);
  try {
    for (;;) {
      const std::size_t n = co_await stream.read_some(piece);
      if (n == 0) break;
      out.answer.append(as_text(ByteView(piece).first(n)));
    }
  } catch (const NetError&) {
    // Cut.
  }
  out.ended = true;
}

Task<void> write_raw(net::ByteStream& stream, std::string bytes) {
  try {
    co_await stream.write_all(as_bytes(bytes));
  } catch (const NetError&) {
    // It hung up: its right.
  }
}

Task<void> talk(net::ByteStream& stream, std::string bytes, Raw& out) {
  TaskGroup tasks(co_await net::asio::this_coro::executor);
  tasks.spawn("write", write_raw(stream, std::move(bytes)));
  tasks.spawn("read", read_raw(stream, out));
  co_await net::sleep_for(milliseconds(100));
  stream.close();
  co_await tasks.drain(kTimeout);
}

TEST_F(H2Test, EndsConnectionsOfHostileClients) {
  std::string many_settings = kPreface;
  for (int i = 0; i < 2000; ++i) many_settings += frame(4, 0, 0, "");
  std::string rapid_reset = kPreface;
  for (std::uint32_t i = 0; i < 2000; ++i) {
    rapid_reset += frame(1, 4, 2 * i + 1, connect_headers());
    rapid_reset += frame(3, 0, 2 * i + 1, std::string("\0\0\0\x08", 4));
  }
  std::string continuations = kPreface + frame(1, 0, 1, connect_headers());
  for (int i = 0; i < 200; ++i) continuations += frame(9, 0, 1, header("x", "y"));
  struct Case {
    const char* name;
    std::string bytes;
  };
  const Case cases[] = {
      {"http/1", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"zeros", std::string(100'000, '\0')},
      {"ones", std::string(100'000, '\xff')},
      {"data on a stream that is not", kPreface + frame(0, 0, 1, "x")},
      {"even stream", kPreface + frame(1, 4, 2, connect_headers())},
      {"oversized frame", kPreface + frame(0, 0, 1, std::string(70'000, 'x'))},
      {"window overflow", kPreface + frame(8, 0, 0, std::string("\x7f\xff\xff\xff", 4))},
      {"window zero", kPreface + frame(8, 0, 0, std::string("\0\0\0\0", 4))},
      {"bad hpack", kPreface + frame(1, 4, 1, std::string(50, '\xff'))},
      {"push from a client", kPreface + frame(5, 4, 1, std::string(10, '\0'))},
      {"settings of odd size", kPreface + frame(4, 0, 0, "12345")},
      {"rapid reset", rapid_reset},
      {"continuations", continuations},
      {"flood before acceptance", kPreface + frame(1, 4, 1, connect_headers()) +
                                      [] {
                                        std::string out;
                                        for (int i = 0; i < 10; ++i)
                                          out += frame(0, 0, 1, std::string(16'000, 'x'));
                                        return out;
                                      }()},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    auto pair = test::make_memory_pair(io.get_executor(), 1 << 20);
    start_server(std::move(pair.b));
    Raw raw;
    std::optional<bool> ended_early;
    test::run_task(io, talk(*pair.a, c.bytes, raw));
    test::run_task(io, server->ended());
  }
  EXPECT_LT(handled, 500);
}

TEST_F(H2Test, RefusesOtherMethodsAndHugeHeadersAndGoesOn) {
  limits.header_bytes_max = 5000;
  auto pair = test::make_memory_pair(io.get_executor(), 1 << 20);
  start_server(std::move(pair.b));
  const std::string get = header(":method", "GET") + header(":scheme", "https") +
                          header(":path", "/") + header(":authority", "h:1");
  const std::string huge = connect_headers() + header("rap-lease", std::string(5'000, 'a'));
  Raw raw;
  test::run_task(
      io, talk(*pair.a,
               kPreface + frame(1, 5, 1, get) + frame(1, 4, 3, huge) +
                   frame(1, 5, 5, header(":method", "CONNECT")) +
                   frame(1, 4, 7, header(":method", "CONNECT") + header(":authority", "refuse:1")),
               raw));
  EXPECT_EQ(handled, 1) << to_hex(as_bytes(raw.answer));  // the last
}

}  // namespace
}  // namespace rap::fabric
