#include "base/net/http_client.hpp"

#include <deque>

#include <boost/beast/core/string.hpp>

#include "base/net/http_wire.hpp"
#include "base/net/timer.hpp"
#include "base/secret.hpp"

namespace rap::net {

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kReadBytes = 64 * 1024;
// Answers with 1xx before the real one; more is a game.
constexpr int kInterimMax = 4;
constexpr milliseconds kRateWindow{10'000};

// What is read may be a secret; nothing of it stays in freed memory.
struct WipedBytes {
  Bytes bytes = Bytes(kReadBytes);
  ~WipedBytes() { wipe(bytes); }
};

// Forgets the first `count`; what moves down leaves no copy behind.
void drop_front(Bytes& input, std::size_t count) {
  const auto end =
      std::move(input.begin() + static_cast<std::ptrdiff_t>(count), input.end(), input.begin());
  wipe(std::span(end, input.end()));
  input.erase(end, input.end());
}

struct Connection {
  ~Connection() { wipe(input); }
  ByteStreamPtr stream;
  Bytes input;  // read and not parsed
  bool used = false;
  bool answered = false;  // a byte of the answer under way came
  bool reusable = false;
  SteadyClock::time_point idle_since;
};

milliseconds left_until(SteadyClock::time_point until) {
  return std::chrono::duration_cast<milliseconds>(until - SteadyClock::now()) + milliseconds(1);
}

bool may_repeat(const std::string& method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE";
}

// Refuses a download that trickles: counts windows of ten seconds.
class RateWatch {
 public:
  explicit RateWatch(std::uint64_t bytes_per_second_min) : least_(bytes_per_second_min) {}

  bool active() const { return least_ > 0; }
  milliseconds left() const { return left_until(end_); }
  void count(std::size_t bytes) {
    seen_ += bytes;
    if (SteadyClock::now() < end_) return;
    if (seen_ < least_ * 10) throw NetError(Errc::timeout, "the server sends too slowly");
    seen_ = 0;
    end_ = SteadyClock::now() + kRateWindow;
  }

 private:
  std::uint64_t least_;
  std::uint64_t seen_ = 0;
  SteadyClock::time_point end_ = SteadyClock::now() + kRateWindow;
};

}  // namespace

Result<Url> parse_url(std::string_view text) {
  const auto bad = [](std::string_view why) {
    return fail(Errc::malformed, "URL: " + std::string(why));
  };
  Url out;
  if (text.size() > 2048) return bad("over 2048 characters");
  if (text.starts_with("https://")) {
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    out.https = false;
    text.remove_prefix(7);
  } else {
    return bad("neither https:// nor http://");
  }
  for (const char c : text) {
    if (c <= 0x20 || c >= 0x7f || c == '?' || c == '#' || c == '@' || c == '\\') {
      return bad("a character that does not belong there");
    }
  }
  const auto slash = text.find('/');
  std::string authority(text.substr(0, slash));
  out.path = slash == std::string_view::npos ? "/" : std::string(text.substr(slash));
  const bool has_port = authority.find(':', authority.rfind(']') + 1) != std::string::npos &&
                        (authority.front() != '[' || authority.find("]:") != std::string::npos);
  if (!has_port) authority += out.https ? ":443" : ":80";
  auto address = parse_host_port(authority);
  if (!address) return bad("host or port");
  out.address = std::move(*address);
  if (out.address.port == 0) return bad("port 0");
  return out;
}

struct HttpClient::Impl {
  Impl(asio::any_io_executor e, HttpClientOptions o, Url u)
      : executor(std::move(e)), options(std::move(o)), url(std::move(u)) {
    const bool default_port = url.address.port == (url.https ? 443 : 80);
    const std::string all = url.address.text();
    host_header = default_port ? all.substr(0, all.rfind(':')) : all;
    while (url.path.ends_with('/')) url.path.pop_back();
  }

  asio::any_io_executor executor;
  HttpClientOptions options;
  Url url;
  std::string host_header;
  std::deque<std::unique_ptr<Connection>> kept;

  std::unique_ptr<Connection> take_kept() {
    while (!kept.empty()) {
      auto connection = std::move(kept.back());
      kept.pop_back();
      if (SteadyClock::now() - connection->idle_since < options.idle_reuse) return connection;
    }
    return nullptr;
  }

  void keep(std::unique_ptr<Connection> connection) {
    if (!connection->reusable || !connection->input.empty()) return;
    connection->idle_since = SteadyClock::now();
    connection->used = true;
    kept.push_back(std::move(connection));
    while (kept.size() > options.kept_connections_max) kept.pop_front();
  }

  Task<std::unique_ptr<Connection>> connect() {
    const auto until = SteadyClock::now() + options.connect_timeout;
    auto connection = std::make_unique<Connection>();
    auto tcp = co_await connect_tcp(url.address.host, url.address.port, options.connect_timeout);
    if (url.https) {
      ExpectedPeer peer = HostName{url.address.host};
      connection->stream =
          co_await connect_tls(std::move(tcp), *options.tls, std::move(peer), left_until(until));
    } else {
      connection->stream = std::move(tcp);
    }
    co_return connection;
  }

  static Task<std::size_t> read(Connection& connection, std::span<std::uint8_t> into,
                                RateWatch& rate) {
    std::size_t n = 0;
    if (rate.active()) {
      n = co_await with_deadline(connection.stream->read_some(into), rate.left());
    } else {
      n = co_await connection.stream->read_some(into);
    }
    rate.count(n);
    co_return n;
  }

  Task<HttpResponse> read_response(Connection& connection, const HttpCall& call, bool head_request,
                                   RateWatch& rate) {
    ResponseParserOptions parser_options;
    parser_options.header_bytes_max = call.header_bytes_max;
    parser_options.body_bytes_max = call.body_bytes_max;
    parser_options.head_request = head_request;
    parser_options.sink = call.sink;
    parser_options.exact_length = call.exact_length;
    WipedBytes piece;
    for (int interim = 0; interim <= kInterimMax; ++interim) {
      ResponseParser parser(parser_options);
      bool ended = false;
      while (!parser.done()) {
        if (!connection.input.empty()) {
          connection.answered = true;
          auto used = parser.put(connection.input);
          if (!used) throw NetError(used.error());
          drop_front(connection.input, *used);
          if (parser.done()) break;
          // Beast leaves an unfinished header line; it may not grow beyond the header's limit.
          if (connection.input.size() > call.header_bytes_max + kReadBytes) {
            throw NetError(Errc::too_large, "headers");
          }
        }
        const std::size_t n = co_await read(connection, piece.bytes, rate);
        if (n == 0) {
          const Status end = parser.put_end();
          if (!end) throw NetError(end.error());
          ended = true;
          break;
        }
        connection.input.insert(connection.input.end(), piece.bytes.begin(),
                                piece.bytes.begin() + static_cast<std::ptrdiff_t>(n));
      }
      const bool keep_alive = parser.keep_alive() && !ended;
      HttpResponse response = parser.take();
      if (response.status >= 100 && response.status < 200 && response.status != 101) continue;
      connection.reusable = keep_alive;
      co_return response;
    }
    throw NetError(Errc::malformed, "too many interim answers");
  }

  Task<HttpResponse> exchange(Connection& connection, const HttpRequest& request,
                              const HttpCall& call) {
    connection.reusable = false;
    connection.answered = false;
    auto head = request_head(request, host_header, options.user_agent);
    if (!head) throw NetError(head.error());
    std::string bytes = std::move(*head);
    bytes += request.body;
    std::optional<NetError> not_sent;
    try {
      co_await connection.stream->write_all(as_bytes(bytes));
    } catch (const NetError& error) {
      if (error.code() == Errc::cancelled) throw;
      not_sent = error;  // it may have answered before it closed: 413, 431
    }
    RateWatch rate(call.bytes_per_second_min);
    std::optional<NetError> not_read;
    try {
      co_return co_await read_response(connection, call, request.method == "HEAD", rate);
    } catch (const NetError& error) {
      not_read = error;
    }
    throw NetError(not_sent && !connection.answered ? *not_sent : *not_read);
  }

  Task<HttpResponse> run(HttpRequest request, const HttpCall& call) {
    request.target = url.path + request.target;
    std::unique_ptr<Connection> connection = take_kept();
    if (connection) {
      try {
        HttpResponse response = co_await exchange(*connection, request, call);
        keep(std::move(connection));
        co_return response;
      } catch (const NetError& error) {
        const bool repeat = error.code() == Errc::unavailable && !connection->answered &&
                            may_repeat(request.method);
        if (!repeat) throw;
      }
    }
    connection = co_await connect();
    HttpResponse response = co_await exchange(*connection, request, call);
    keep(std::move(connection));
    co_return response;
  }
};

Result<std::unique_ptr<HttpClient>> HttpClient::create(asio::any_io_executor executor,
                                                       const HttpClientOptions& options) {
  auto url = parse_url(options.base_url);
  if (!url) return fail(url.error());
  if (url->https != options.tls.has_value()) {
    return fail(Errc::invalid,
                "TLS options and the scheme of " + options.base_url + " do not belong together");
  }
  auto impl = std::make_unique<Impl>(std::move(executor), options, std::move(*url));
  return std::unique_ptr<HttpClient>(new HttpClient(std::move(impl)));
}

HttpClient::HttpClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpClient::~HttpClient() = default;

Task<HttpResponse> HttpClient::send(HttpRequest request) {
  HttpCall call;
  return send(std::move(request), std::move(call));
}

Task<HttpResponse> HttpClient::send(HttpRequest request, HttpCall call) {
  // `call` lives in this frame; run() and what it awaits end before it does.
  co_return co_await with_deadline(impl_->run(std::move(request), call), call.deadline);
}

void HttpClient::forget_connections() {
  impl_->kept.clear();
}

}  // namespace rap::net
