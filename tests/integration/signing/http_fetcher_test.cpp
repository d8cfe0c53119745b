// The plain HTTP fetcher against a server that does what no honest server does.
#include "signing/tuf_client/http_fetcher.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <thread>

#include "base/file.hpp"
#include "signing/tuf_client/http_url.hpp"
#include "tests/support/free_port.hpp"
#include "tests/support/patience.hpp"

namespace {

using namespace rap;
using namespace std::chrono_literals;

// Accepts one connection at a time, reads the request head and runs the script on the socket.
class EvilServer {
 public:
  using Script = std::function<void(int fd)>;

  explicit EvilServer(Script script) : script_(std::move(script)) {
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        ::listen(listener_.get(), 8) != 0) {
      std::abort();
    }
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~EvilServer() {
    stop_ = true;
    thread_.join();
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/a/b.json"; }
  const std::string& request() const { return request_; }
  bool stopped() const { return stop_; }

 private:
  void serve() {
    while (!stop_) {
      pollfd entry{.fd = listener_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&entry, 1, 20) <= 0) continue;
      Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      std::string head;
      char c = 0;
      while (!head.ends_with("\r\n\r\n") && ::recv(fd.get(), &c, 1, 0) == 1) head += c;
      request_ = head;
      script_(fd.get());
    }
  }

  Script script_;
  Fd listener_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::string request_;
  std::thread thread_;
};

bool send_text(int fd, std::string_view text) {
  return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

EvilServer::Script says(std::string text) {
  return [text = std::move(text)](int fd) { send_text(fd, text); };
}

// For servers that answer.
tuf::HttpFetcherOptions patient() {
  tuf::HttpFetcherOptions options;
  options.connect = test::kPatience;
  options.header = test::kPatience;
  options.rate_window = test::kPatience;
  return options;
}

// For servers that do not.
tuf::HttpFetcherOptions quick() {
  tuf::HttpFetcherOptions options;
  options.connect = test::kPatience;
  options.header = 300ms;
  options.rate_bytes = 4096;
  options.rate_window = 300ms;
  return options;
}

Result<Bytes> fetch(const EvilServer& server, std::size_t max_bytes,
                    const tuf::HttpFetcherOptions& options = patient()) {
  tuf::HttpFetcher fetcher(options);
  return fetcher.fetch(server.url(), max_bytes);
}

Errc code_of(const Result<Bytes>& result) {
  return result ? Errc::internal : result.error().code;
}

TEST(HttpFetcher, ReadsHonestAnswers) {
  const std::string rows[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
      "HTTP/1.0 200 OK\r\nContent-length: 5\r\n\r\nhello",
      "HTTP/1.0 200 OK\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
  };
  for (const std::string& row : rows) {
    EvilServer server(says(row));
    auto bytes = fetch(server, 5);
    ASSERT_TRUE(bytes) << row << bytes.error().text();
    EXPECT_EQ(as_text(*bytes), "hello");
    EXPECT_NE(server.request().find("GET /a/b.json HTTP/1.1\r\n"), std::string::npos);
    EXPECT_NE(server.request().find("Accept-Encoding: identity\r\n"), std::string::npos);
  }
}

TEST(HttpFetcher, SaysWhatTheServerSaid) {
  const std::pair<const char*, Errc> rows[] = {
      {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Errc::not_found},
      {"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", Errc::not_found},
      {"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", Errc::unavailable},
      {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", Errc::unavailable},
      {"HTTP/1.1 204 No Content\r\n\r\n", Errc::unavailable},
      {"HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\nh", Errc::unavailable},
      {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
       Errc::unavailable},
      {"HTTP/1.1 404 Not Found\r\nContent-Length: 5000000\r\n\r\n", Errc::not_found},
  };
  for (const auto& [text, code] : rows) {
    EvilServer server(says(text));
    EXPECT_EQ(code_of(fetch(server, 100)), code) << text;
  }
}

TEST(HttpFetcher, RefusesLies) {
  const std::pair<std::string, Errc> rows[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", Errc::too_large},
      {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", Errc::unavailable},
      {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Errc::unavailable},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", Errc::unavailable},
      {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nonly a part", Errc::unavailable},
      {"HTTP/1.1 200 OK\r\n\r\n" + std::string(101, 'x'), Errc::too_large},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
       Errc::unavailable},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + std::string(100, 'x') +
           "\r\n1\r\nx\r\n0\r\n\r\n",
       Errc::too_large},
      {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
       Errc::unavailable},
      {"", Errc::unavailable},
      {"HTTP/1.1 200", Errc::unavailable},
      {"SSH-2.0-OpenSSH_9.2\r\n", Errc::unavailable},
      {"HTTP/1.1 200 OK\r\nX: " + std::string(40'000, 'x') + "\r\n\r\n", Errc::too_large},
      {"HTTP/1.1 200 OK\r\n" + std::string(300, '\0') + "\r\n\r\n", Errc::unavailable},
  };
  for (const auto& [text, code] : rows) {
    EvilServer server(says(text));
    EXPECT_EQ(code_of(fetch(server, 100)), code) << text.substr(0, 90);
  }
}

TEST(HttpFetcher, ReadsNoFurtherThanTheCap) {
  std::atomic<std::size_t> sent{0};
  EvilServer server([&](int fd) {
    send_text(fd, "HTTP/1.1 200 OK\r\n\r\n");
    const std::string block(64 << 10, 'x');
    while (send_text(fd, block)) sent += block.size();
  });
  EXPECT_EQ(code_of(fetch(server, 1000)), Errc::too_large);
  EXPECT_LT(sent.load(), std::size_t{64} << 20) << "what the kernel buffers, not an endless body";
}

TEST(HttpFetcher, EndlessHeadersEnd) {
  EvilServer server([](int fd) {
    send_text(fd, "HTTP/1.1 200 OK\r\n");
    while (send_text(fd, "X-Header: value\r\n")) {
    }
  });
  EXPECT_EQ(code_of(fetch(server, 1000)), Errc::too_large);
}

// Sends `head`, then one byte of `body` every 20 ms until the test is over.
void drip(EvilServer*& server, int fd, std::string_view head, std::string_view body) {
  send_text(fd, head);
  for (const char c : body) {
    if (server->stopped() || !send_text(fd, std::string_view(&c, 1))) return;
    std::this_thread::sleep_for(20ms);
  }
}

TEST(HttpFetcher, SlowHeadersAndSlowBodiesTimeOut) {
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n";
  const std::pair<std::string, std::string> rows[] = {
      {"", head},                                               // headers drip
      {head, std::string(10'000, 'x')},                         // body drips
      {head + std::string(9'900, 'x'), std::string(100, 'x')},  // stalls at 99 %
  };
  for (const auto& row : rows) {
    EvilServer* self = nullptr;
    EvilServer server([&](int fd) { drip(self, fd, row.first, row.second); });
    self = &server;
    EXPECT_EQ(code_of(fetch(server, 10'000, quick())), Errc::timeout);
  }
}

TEST(HttpFetcher, ASilentServerTimesOut) {
  EvilServer* self = nullptr;
  EvilServer server([&](int) {
    while (!self->stopped()) std::this_thread::sleep_for(10ms);
  });
  self = &server;
  EXPECT_EQ(code_of(fetch(server, 100, quick())), Errc::timeout);
}

TEST(HttpFetcher, ArtifactsHaveExactlyTheirLength) {
  EvilServer server(says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
  tuf::HttpFetcher fetcher(patient());
  std::string got;
  const auto sink = [&](ByteView bytes) -> Status {
    got += as_text(bytes);
    return {};
  };
  EXPECT_TRUE(fetcher.fetch_to(server.url(), 5, sink));
  EXPECT_EQ(got, "hello");
  for (std::uint64_t length : {0, 4, 6}) {
    auto status = fetcher.fetch_to(server.url(), length, sink);
    ASSERT_FALSE(status) << length;
    EXPECT_EQ(status.error().code, Errc::mismatch) << length;
  }
  auto refused = fetcher.fetch_to(
      server.url(), 5, [](ByteView) -> Status { return fail(Errc::exhausted, "disk full"); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::exhausted) << "the sink's own failure comes back";
}

TEST(HttpFetcher, NobodyThere) {
  const test::ClosedPort closed;
  const std::string url = "http://127.0.0.1:" + std::to_string(closed.number()) + "/a";
  tuf::HttpFetcher fetcher(patient());
  EXPECT_EQ(code_of(fetcher.fetch(url, 10)), Errc::unavailable);
}

TEST(HttpUrl, Table) {
  const struct {
    const char* url;
    const char* host;
    const char* port;
    const char* target;
  } good[] = {
      {"http://a/", "a", "80", "/"},
      {"http://a", "a", "80", "/"},
      {"http://a:8080/x/%2F?q", "a", "8080", "/x/%2F?q"},
      {"http://[::1]:7/x", "::1", "7", "/x"},
      {"http://[::1]/x", "::1", "80", "/x"},
      {"http://a?q", "a", "80", "/?q"},
  };
  for (const auto& row : good) {
    auto url = tuf::parse_http_url(row.url);
    ASSERT_TRUE(url) << row.url;
    EXPECT_EQ(url->host, row.host);
    EXPECT_EQ(url->port, row.port);
    EXPECT_EQ(url->target, row.target);
  }
  for (const char* bad :
       {"", "a", "https://a/", "ftp://a/", "http://", "http:///x", "http://:80/", "http://a:/",
        "http://a:x/", "http://a:123456/", "http://u@a/", "http://a/ b", "http://a/\r\nX: y",
        "http://a/#f", "http://[::1/", "http://[::1]x/", "http://a/\xC3\xA9"}) {
    EXPECT_FALSE(tuf::parse_http_url(bad)) << bad;
  }
}

}  // namespace
