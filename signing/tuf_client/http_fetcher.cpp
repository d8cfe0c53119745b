#include "signing/tuf_client/http_fetcher.hpp"

// This program uses Beast's parser only, so it is compiled here and not taken from base/net.
#undef BOOST_BEAST_SEPARATE_COMPILATION
#undef BOOST_ASIO_SEPARATE_COMPILATION
#define BOOST_ASIO_HEADER_ONLY

#include <array>

#include <boost/beast/http/parser.hpp>

#include "signing/tuf_client/http_url.hpp"
#include "signing/tuf_client/timed_socket.hpp"

namespace rap::tuf {
namespace {

namespace http = boost::beast::http;
using Steady = std::chrono::steady_clock;

// A Beast body that hands every piece to a sink, so nothing larger than a buffer is held.
struct SinkBody {
  struct value_type {
    const Fetcher::Sink* sink = nullptr;
    std::uint64_t left = 0;  // of what the body may have
    Status status;

    Status take(ByteView bytes) {
      if (bytes.size() > left) return fail(Errc::too_large, "HTTP body");
      left -= bytes.size();
      return (*sink)(bytes);
    }
  };

  class reader {
   public:
    template <bool IsRequest, class Fields>
    reader(http::header<IsRequest, Fields>&, value_type& body) : body_(body) {}

    void init(const boost::optional<std::uint64_t>&, boost::beast::error_code& ec) { ec = {}; }

    template <class Buffers>
    std::size_t put(const Buffers& buffers, boost::beast::error_code& ec) {
      ec = {};
      std::size_t taken = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers);
           it != boost::asio::buffer_sequence_end(buffers); ++it) {
        const boost::asio::const_buffer piece = *it;
        body_.status =
            body_.take(ByteView(static_cast<const std::uint8_t*>(piece.data()), piece.size()));
        if (!body_.status) {
          ec = http::make_error_code(http::error::body_limit);  // any code stops the parser
          return taken;
        }
        taken += piece.size();
      }
      return taken;
    }

    void finish(boost::beast::error_code& ec) { ec = {}; }

   private:
    value_type& body_;
  };
};

using Parser = http::response_parser<SinkBody>;

Status check_head(const Parser& parser, std::uint64_t body_max) {
  const unsigned code = parser.get().result_int();
  if (code == 404 || code == 403) return fail(Errc::not_found, "HTTP " + std::to_string(code));
  if (code != 200) return fail(Errc::unavailable, "HTTP " + std::to_string(code));
  const auto coding = parser.get()[http::field::content_encoding];
  if (!coding.empty() && !boost::beast::iequals(coding, "identity")) {
    return fail(Errc::unavailable, "content coding that was not asked for");
  }
  if (parser.content_length().value_or(0) > body_max) return fail(Errc::too_large, "HTTP body");
  return {};
}

// When the body must have made its next step: `rate_bytes` for every second of a window.
class RateLimit {
 public:
  RateLimit(const HttpFetcherOptions& options, std::uint64_t body_max)
      : options_(options), window_start_(Steady::now()) {
    const std::uint64_t seconds = body_max / std::max<std::size_t>(1, options.rate_bytes);
    end_ = window_start_ + options.rate_window +
           std::chrono::seconds(std::min<std::uint64_t>(seconds, 7 * 24 * 3600));
  }

  Steady::time_point deadline() const {
    return std::min(end_, window_start_ + options_.rate_window);
  }

  void received(std::size_t bytes) {
    in_window_ += bytes;
    const auto window_s = std::chrono::duration<double>(options_.rate_window).count();
    if (static_cast<double>(in_window_) >= static_cast<double>(options_.rate_bytes) * window_s) {
      window_start_ = Steady::now();
      in_window_ = 0;
    }
  }

 private:
  HttpFetcherOptions options_;
  Steady::time_point window_start_;
  Steady::time_point end_;
  std::uint64_t in_window_ = 0;
};

std::string request_text(const HttpUrl& url) {
  return "GET " + url.target + " HTTP/1.1\r\nHost: " + url.authority +
         "\r\nUser-Agent: rap-tuf-client\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n";
}

}  // namespace

Status HttpFetcher::get(const std::string& url_text, std::uint64_t body_max, const Sink& sink) {
  auto url = parse_http_url(url_text);
  if (!url) return fail(std::move(url.error()));
  auto socket = TimedSocket::connect(url->host, url->port, Steady::now() + options_.connect);
  if (!socket) return fail(std::move(socket.error()));
  const auto header_deadline = Steady::now() + options_.header;
  if (auto s = socket->write_all(as_bytes(request_text(*url)), header_deadline); !s) return s;

  Parser parser;
  parser.header_limit(options_.header_max);
  parser.body_limit(boost::none);  // ours: the page that comes with a 404 may be of any length
  parser.get().body().sink = &sink;
  parser.get().body().left = body_max;

  RateLimit rate(options_, body_max);
  bool head_checked = false;
  boost::beast::error_code ec;
  std::array<std::uint8_t, 16 << 10> buffer;
  std::size_t filled = 0;
  while (!parser.is_done()) {
    // The parser leaves an incomplete line in the buffer; a full one is a line beyond any limit.
    if (filled == buffer.size()) return fail(Errc::too_large, "HTTP header line");
    auto n = socket->read_some(std::span(buffer).subspan(filled),
                               parser.is_header_done() ? rate.deadline() : header_deadline);
    if (!n) return fail(std::move(n.error()));
    const bool end = *n == 0;
    filled += *n;
    std::size_t used = 0;
    // One step at a time: the head is judged before any of the body reaches the sink.
    while (used < filled && !parser.is_done()) {
      const std::size_t step =
          parser.put(boost::asio::const_buffer(buffer.data() + used, filled - used), ec);
      used += step;
      if (!parser.get().body().status) return parser.get().body().status;
      if (ec == http::error::need_more) {
        ec = {};
        break;
      }
      if (ec == http::error::header_limit) return fail(Errc::too_large, "HTTP header");
      if (ec) return fail(Errc::unavailable, "HTTP: " + ec.message());
      if (parser.is_header_done() && !head_checked) {
        head_checked = true;
        if (auto status = check_head(parser, body_max); !status) return status;
        rate = RateLimit(options_, body_max);
      }
    }
    std::copy(buffer.begin() + static_cast<std::ptrdiff_t>(used),
              buffer.begin() + static_cast<std::ptrdiff_t>(filled), buffer.begin());
    filled -= used;
    if (parser.is_header_done()) rate.received(*n);
    if (end) {
      if (parser.got_some()) parser.put_eof(ec);
      if (ec || !parser.is_done())
        return fail(Errc::unavailable, "HTTP: the connection ended early");
      break;
    }
  }
  return {};
}

Result<Bytes> HttpFetcher::fetch(const std::string& url, std::size_t max_bytes) {
  Bytes body;
  auto status = get(url, max_bytes, [&](ByteView bytes) -> Status {
    body.insert(body.end(), bytes.begin(), bytes.end());
    return {};
  });
  if (!status) return fail(status.error(), url);
  return body;
}

Status HttpFetcher::fetch_to(const std::string& url, std::uint64_t length, const Sink& sink) {
  std::uint64_t received = 0;
  auto status = get(url, length, [&](ByteView bytes) {
    received += bytes.size();
    return sink(bytes);
  });
  if (!status && status.error().code == Errc::too_large) {
    return fail(Errc::mismatch, url + ": longer than " + std::to_string(length) + " bytes");
  }
  if (!status) return fail(status.error(), url);
  if (received != length) {
    return fail(Errc::mismatch,
                url + ": " + std::to_string(received) + " bytes, want " + std::to_string(length));
  }
  return {};
}

}  // namespace rap::tuf
