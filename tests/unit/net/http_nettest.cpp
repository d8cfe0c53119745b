#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/net/event.hpp"
#include "base/net/http_client.hpp"
#include "base/net/http_server.hpp"
#include "base/net/task_group.hpp"
#include "base/net/timer.hpp"
#include "tests/support/run_task.hpp"
#include "tests/support/run_until.hpp"
#include "tests/support/test_ca.hpp"

namespace rap::net {
namespace {

constexpr milliseconds kTimeout{5000};

class HttpTest : public ::testing::Test {
 protected:
  boost::asio::io_context io;
  test::TestCa ca;
  std::unique_ptr<HttpServer> server;
  int cancelled = 0;
  int started = 0;
  std::string file_content = std::string(300'000, 'f');

  ~HttpTest() override { stop(); }

  void stop() {
    if (!server) return;
    test::run_task(io, server->drain(milliseconds(50)));
    server.reset();
  }

  enum class Transport { plain, tls };

  void start(Transport transport, HttpServerLimits limits = {}) {
    auto listener = Listener::bind(io.get_executor(), HostPort{"127.0.0.1", 0});
    ASSERT_TRUE(listener);
    std::optional<TlsServerContext> tls;
    if (transport == Transport::tls) {
      TlsServerOptions options;
      test::CertificateWish wish;
      wish.subject_alt_name = "DNS:localhost,IP:127.0.0.1";
      options.identity = ca.issue(wish);
      options.clients = OptionalCa{ca.pem()};
      tls = *TlsServerContext::create(options);
    }
    HttpHandler handler = [this](const HttpRequest& request, const PeerInfo& peer) {
      return handle(request, peer);
    };
    server = std::make_unique<HttpServer>(io.get_executor(), std::move(*listener), tls,
                                          std::move(handler), limits);
    server->start();
  }

  Task<HttpResponse> handle(const HttpRequest& request, const PeerInfo& peer) {
    ++started;
    HttpResponse response;
    if (request.path() == "/echo") {
      response.body = request.body;
    } else if (request.path() == "/who") {
      response.body = std::string(peer.spiffe());
    } else if (request.path() == "/wait") {
      struct Count {
        int& count;
        bool done = false;
        ~Count() {
          if (!done) ++count;
        }
      } count{cancelled};
      co_await sleep_for(milliseconds(std::stoi(*request.query_parameter("ms"))));
      count.done = true;
      response.body = "waited";
    } else if (request.path() == "/throw") {
      throw std::runtime_error("secret inside");
    } else if (request.path() == "/file") {
      const int fd = ::memfd_create("file", MFD_CLOEXEC);
      EXPECT_EQ(::write(fd, file_content.data(), file_content.size()),
                static_cast<ssize_t>(file_content.size()));
      response.file = FileBody{std::make_shared<Fd>(fd), 10, file_content.size() - 10};
    } else if (request.path() == "/redirect") {
      response.status = 302;
      response.headers.set("Location", "/echo");
    } else {
      response.status = 404;
    }
    co_return response;
  }

  std::unique_ptr<HttpClient> client(Transport transport,
                                     std::optional<TlsIdentity> identity = std::nullopt) {
    HttpClientOptions options;
    const std::string port = std::to_string(server->local_address().port);
    if (transport == Transport::tls) {
      TlsClientOptions tls;
      tls.trust = TrustCa{ca.pem()};
      tls.identity = std::move(identity);
      options.tls = *TlsClientContext::create(tls);
      options.base_url = "https://localhost:" + port;
    } else {
      options.base_url = "http://127.0.0.1:" + port;
    }
    auto made = HttpClient::create(io.get_executor(), options);
    EXPECT_TRUE(made) << made.error().text();
    return std::move(*made);
  }

  HttpResponse send(HttpClient& http, std::string method, std::string target,
                    std::string body = "") {
    HttpRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    return test::run_task(io, http.send(std::move(request)));
  }

  // Sends raw bytes over plain TCP and returns all that comes back until the end.
  Task<std::string> raw(std::string bytes) {
    auto stream = co_await connect_tcp("127.0.0.1", server->local_address().port, kTimeout);
    std::string out;
    try {
      co_await stream->write_all(as_bytes(bytes));
      Bytes piece(4096);
      for (;;) {
        const std::size_t n = co_await stream->read_some(piece);
        if (n == 0) break;
        out.append(as_text(ByteView(piece).first(n)));
      }
    } catch (const NetError& error) {
      if (error.code() == Errc::timeout) throw;
    }
    co_return out;
  }
};

TEST_F(HttpTest, KeepsAConnectionForManyRequests) {
  for (const Transport transport : {Transport::plain, Transport::tls}) {
    start(transport);
    auto http = client(transport);
    for (int i = 0; i < 20; ++i) {
      const std::string body(static_cast<std::size_t>(i) * 5000, 'x');
      const HttpResponse response = send(*http, "POST", "/echo", body);
      EXPECT_EQ(response.status, 200u);
      EXPECT_EQ(response.body, body);
    }
    EXPECT_EQ(server->stats().accepted, 1u);
    EXPECT_EQ(server->stats().requests, 20u);
    http.reset();
    stop();
  }
}

TEST_F(HttpTest, ReportsTheNodeAndClosesItsConnections) {
  start(Transport::tls);
  test::CertificateWish wish;
  wish.subject_alt_name = "URI:spiffe://cls_a/node/nod_1";
  auto node = client(Transport::tls, ca.issue(wish));
  auto nobody = client(Transport::tls);
  EXPECT_EQ(send(*node, "GET", "/who").body, "spiffe://cls_a/node/nod_1");
  EXPECT_EQ(send(*nobody, "GET", "/who").body, "");
  const auto is_node = [](const PeerInfo& peer) {
    return peer.spiffe() == "spiffe://cls_a/node/nod_1";
  };
  EXPECT_EQ(server->close_connections_if(is_node), 1u);
  EXPECT_EQ(send(*nobody, "GET", "/who").status, 200u);
  EXPECT_EQ(server->stats().accepted, 2u);
  EXPECT_EQ(send(*node, "GET", "/who").status, 200u);  // a new connection, made by itself
  EXPECT_EQ(server->stats().accepted, 3u);
}

TEST_F(HttpTest, RefusesANodeOfAnotherCluster) {
  start(Transport::tls);
  const test::TestCa other;
  auto http = client(Transport::tls, other.issue(test::CertificateWish()));
  try {
    send(*http, "GET", "/who");
    FAIL();
  } catch (const NetError& error) {
    EXPECT_EQ(error.code(), Errc::mismatch) << error.what();
  }
  http.reset();
  test::run_until(io, [&] { return server->stats().handshake_failed == 1; });
  EXPECT_EQ(server->stats().handshake_failed, 1u);
}

TEST_F(HttpTest, HidesWhatAHandlerThrows) {
  start(Transport::plain);
  auto http = client(Transport::plain);
  const HttpResponse response = send(*http, "GET", "/throw");
  EXPECT_EQ(response.status, 500u);
  EXPECT_EQ(response.body.find("secret"), std::string::npos);
  EXPECT_EQ(send(*http, "POST", "/echo", "a").body, "a");
}

TEST_F(HttpTest, DoesNotFollowRedirects) {
  start(Transport::plain);
  auto http = client(Transport::plain);
  EXPECT_EQ(send(*http, "GET", "/redirect").status, 302u);
  EXPECT_EQ(started, 1);
}

TEST_F(HttpTest, HeadHasALengthAndNoBody) {
  start(Transport::plain);
  auto http = client(Transport::plain);
  const HttpResponse response = send(*http, "HEAD", "/file");
  EXPECT_EQ(response.body, "");
  EXPECT_EQ(response.headers.find("content-length"), "299990");
  EXPECT_EQ(send(*http, "GET", "/who").status, 200u);
}

TEST_F(HttpTest, SendsFilesAndChecksTheirLength) {
  start(Transport::tls);
  auto http = client(Transport::tls);
  for (const std::uint64_t length : {file_content.size() - 10, file_content.size()}) {
    HttpRequest request;
    request.target = "/file";
    std::size_t got = 0;
    HttpCall call;
    call.body_bytes_max = 10;
    call.exact_length = length;
    call.bytes_per_second_min = 1000;
    call.sink = [&](ByteView bytes) { got += bytes.size(); };
    if (length == file_content.size() - 10) {
      const auto response = test::run_task(io, http->send(request, std::move(call)));
      EXPECT_EQ(response.status, 200u);
      EXPECT_EQ(got, length);
    } else {
      try {
        test::run_task(io, http->send(request, std::move(call)));
        FAIL();
      } catch (const NetError& error) {
        EXPECT_EQ(error.code(), Errc::mismatch);
      }
      EXPECT_EQ(got, 0u);
    }
  }
}

TEST_F(HttpTest, CancelsALongPollWhenTheClientGoes) {
  start(Transport::tls);
  auto http = client(Transport::tls);
  EXPECT_EQ(send(*http, "GET", "/wait?ms=1").body, "waited");  // the handshake is done with
  HttpRequest request;
  request.target = "/wait?ms=20000";
  HttpCall call;
  call.deadline = milliseconds(500);  // also a busy machine has begun it by then
  EXPECT_THROW(test::run_task(io, http->send(request, std::move(call))), NetError);
  http.reset();
  for (int i = 0; i < 500 && server->stats().connections > 0; ++i) {
    test::run_task(io, sleep_for(milliseconds(10)));
  }
  EXPECT_EQ(cancelled, 1);
  EXPECT_EQ(server->stats().connections, 0u);
}

TEST_F(HttpTest, CutsAHandlerThatTakesTooLong) {
  HttpServerLimits limits;
  limits.handler_timeout = milliseconds(20);
  start(Transport::plain, limits);
  auto http = client(Transport::plain);
  EXPECT_EQ(send(*http, "GET", "/wait?ms=20000").status, 503u);
  EXPECT_EQ(cancelled, 1);
  EXPECT_EQ(send(*http, "GET", "/wait?ms=1").body, "waited");
}

Task<HttpResponse> get(HttpClient& http, std::string target) {
  HttpRequest request;
  request.target = std::move(target);
  return http.send(std::move(request));
}

Task<void> get_into(HttpClient& http, std::string target, HttpResponse& out) {
  out = co_await get(http, std::move(target));
}

Task<void> drain_while_waiting(HttpServer& server, HttpClient& http, HttpResponse& out,
                               const int& started) {
  TaskGroup tasks(co_await asio::this_coro::executor);
  tasks.spawn("get", get_into(http, "/wait?ms=300", out));
  while (started == 0) co_await sleep_for(milliseconds(1));  // run_task has a deadline
  co_await server.drain(test::kPatience);
  co_await tasks.drain(kTimeout);
}

TEST_F(HttpTest, DrainLetsARequestFinish) {
  start(Transport::plain);
  auto http = client(Transport::plain);
  HttpResponse out;
  test::run_task(io, drain_while_waiting(*server, *http, out, started));
  EXPECT_EQ(out.body, "waited");
  EXPECT_EQ(out.headers.find("connection"), "close");
}

TEST_F(HttpTest, AnswersHostileInputAndCloses) {
  HttpServerLimits limits;
  limits.header_timeout = milliseconds(100);
  limits.body_timeout = milliseconds(100);
  limits.idle_timeout = milliseconds(100);
  start(Transport::plain, limits);
  struct Case {
    std::string bytes;
    std::string_view status;  // "" closed without a word
  };
  const Case cases[] = {
      {"\x16\x03\x01\x02\x05\x01\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(70'000, 'a'), "431"},
      {std::string(200'000, 'a'), "431"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n", "413"},
      {"GET / HTTP/1.1\r\nHost: h\r\n", ""},                               // never ends
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc", ""},  // never ends
      {"", ""},
  };
  for (const Case& c : cases) {
    const std::string answer = test::run_task(io, raw(c.bytes));
    if (c.status.empty()) {
      EXPECT_EQ(answer, "") << c.bytes.substr(0, 50);
    } else {
      EXPECT_EQ(answer.substr(9, 3), c.status) << c.bytes.substr(0, 50);
    }
  }
  EXPECT_EQ(started, 0);
  EXPECT_EQ(server->stats().bad_requests, 6u);
  test::run_until(io, [&] { return server->stats().connections == 0; });
  EXPECT_EQ(server->stats().connections, 0u);
}

TEST_F(HttpTest, AnswersPipelinedRequestsInOrder) {
  start(Transport::plain);
  const std::string answer = test::run_task(
      io, raw("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1"
              "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n2"
              "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\n3"));
  const auto first = answer.find("\r\n\r\n1HTTP/1.1 200");
  const auto second = answer.find("\r\n\r\n2HTTP/1.1 200");
  EXPECT_NE(first, std::string::npos);
  EXPECT_LT(first, second);
  EXPECT_TRUE(answer.ends_with("\r\n\r\n3"));
}

TEST_F(HttpTest, SaysContinueWhenAsked) {
  start(Transport::plain);
  const std::string answer =
      test::run_task(io, raw("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                             "Connection: close\r\nContent-Length: 2\r\n\r\nab"));
  EXPECT_TRUE(answer.ends_with("\r\n\r\nab"));
}

Task<void> hold_open(std::vector<std::unique_ptr<TcpStream>>& held, std::uint16_t port, int count,
                     Bytes bytes) {
  for (int i = 0; i < count; ++i) {
    try {
      auto stream = co_await connect_tcp("127.0.0.1", port, kTimeout);
      co_await stream->write_all(bytes);
      held.push_back(std::move(stream));
      if (held.size() > 500) held.erase(held.begin());
    } catch (const NetError&) {
      // Refused or reset: the server defends itself.
    }
  }
}

TEST_F(HttpTest, TenThousandGarbageConnectionsDoNotHurt) {
  HttpServerLimits limits;
  limits.handshake_timeout = milliseconds(300);
  start(Transport::tls, limits);
  std::vector<std::unique_ptr<TcpStream>> held;
  const std::uint16_t port = server->local_address().port;
  // Half of them speak garbage, half say nothing and stay.
  test::run_task(io, hold_open(held, port, 5000, to_bytes("GET / HTTP/1.0\r\n\r\n")));
  test::run_task(io, hold_open(held, port, 5000, {}));
  EXPECT_LE(server->stats().handshakes, limits.per_network_max);
  auto http = client(Transport::tls);
  EXPECT_EQ(send(*http, "POST", "/echo", "still here").body, "still here");
  EXPECT_GE(server->stats().handshake_failed, 5000u);
}

TEST_F(HttpTest, ClosesConnectionsOverTheLimit) {
  HttpServerLimits limits;
  limits.connections_max = 3;
  start(Transport::plain, limits);
  std::vector<std::unique_ptr<TcpStream>> held;
  test::run_task(io, hold_open(held, server->local_address().port, 5, {}));
  test::run_until(io, [&] { return server->stats().refused_full == 2; });
  EXPECT_EQ(server->stats().connections, 3u);
  EXPECT_EQ(server->stats().refused_full, 2u);
}

TEST_F(HttpTest, EndsTheLongestIdleWhenPlacesAreShort) {
  HttpServerLimits limits;
  limits.connections_max = 2;
  start(Transport::tls, limits);
  auto first = client(Transport::tls), second = client(Transport::tls);
  EXPECT_EQ(send(*first, "POST", "/echo", "a").body, "a");
  EXPECT_EQ(send(*second, "POST", "/echo", "b").body, "b");
  test::run_task(io, sleep_for(milliseconds(1100)));
  EXPECT_EQ(send(*second, "POST", "/echo", "b").body, "b");  // the first is idle the longest
  auto third = client(Transport::tls);
  EXPECT_EQ(send(*third, "POST", "/echo", "c").body, "c");
  EXPECT_EQ(server->stats().ended_idle, 1u);
  EXPECT_EQ(send(*second, "POST", "/echo", "b").body, "b");
  EXPECT_EQ(server->stats().connections, 2u);
  EXPECT_EQ(server->stats().refused_full, 0u);
}

Task<void> serve_raw(Listener& listener, std::string bytes, bool then_wait) {
  auto stream = co_await listener.accept();
  Bytes piece(4096);
  co_await stream->read_some(piece);
  co_await stream->write_all(as_bytes(bytes));
  if (then_wait) co_await sleep_for(milliseconds(60'000));
}

Task<std::optional<Errc>> ask_raw(boost::asio::io_context& io, std::string bytes, bool then_wait) {
  auto listener = Listener::bind(io.get_executor(), HostPort{"127.0.0.1", 0});
  TaskGroup tasks(io.get_executor());
  tasks.spawn("server", serve_raw(**listener, std::move(bytes), then_wait));
  HttpClientOptions options;
  options.base_url = "http://" + (*listener)->local_address().text();
  auto http = HttpClient::create(io.get_executor(), options);
  HttpCall call;
  call.deadline = milliseconds(200);
  HttpRequest request;
  std::optional<Errc> code;
  try {
    co_await (*http)->send(std::move(request), std::move(call));
  } catch (const NetError& error) {
    code = error.code();
  }
  co_await tasks.drain(milliseconds(0));
  co_return code;
}

TEST_F(HttpTest, ClientSurvivesHostileServers) {
  struct Case {
    std::string bytes;
    bool then_wait;
    std::optional<Errc> code;
  };
  const Case cases[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true, std::nullopt},
      {"", true, Errc::timeout},
      {"", false, Errc::unavailable},
      {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", false, Errc::unavailable},
      {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", true, Errc::timeout},
      {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", true, Errc::too_large},
      {"HTTP/1.1 200 OK\r\nX: " + std::string(200'000, 'a'), true, Errc::too_large},
      {std::string(200'000, 'a'), true, std::nullopt},  // any error will do, see below
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true,
       std::nullopt},
      {"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\n"
       "HTTP/1.1 100 C\r\n\r\n",
       true, Errc::malformed},
  };
  for (const Case& c : cases) {
    const auto code = test::run_task(io, ask_raw(io, c.bytes, c.then_wait));
    if (c.bytes.starts_with("aaa")) {
      EXPECT_TRUE(code);
    } else {
      EXPECT_EQ(code.has_value(), c.code.has_value()) << c.bytes.substr(0, 60);
      if (code && c.code) {
        EXPECT_EQ(name(*code), name(*c.code)) << c.bytes.substr(0, 60);
      }
    }
  }
}

}  // namespace
}  // namespace rap::net
