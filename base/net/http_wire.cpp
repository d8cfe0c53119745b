#include "base/net/http_wire.hpp"

#include <fmt/format.h>

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>

namespace rap::net {

namespace {

namespace http = boost::beast::http;

bool is_token(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    if (!fine) return false;
  }
  return true;
}

bool is_field_value(std::string_view text) {
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) return false;
  }
  return true;
}

// Printable ASCII without blanks, beginning with '/': the only form our servers serve.
bool is_target(std::string_view text) {
  if (!text.starts_with('/')) return false;
  for (const char c : text) {
    if (c <= 0x20 || c >= 0x7f || c == '#') return false;
  }
  return true;
}

Status append_headers(std::string& out, const HttpHeaders& headers) {
  for (const HttpHeader& header : headers) {
    if (!is_token(header.name) || !is_field_value(header.value)) {
      return fail(Errc::invalid, "a header that cannot be sent");
    }
    fmt::format_to(std::back_inserter(out), "{}: {}\r\n", header.name, header.value);
  }
  return {};
}

HttpHeaders headers_of(const http::fields& fields) {
  HttpHeaders out;
  for (const auto& field : fields) {
    out.push_back(HttpHeader{std::string(field.name_string()), std::string(field.value())});
  }
  return out;
}

tl::unexpected<Error> parse_failure(const boost::system::error_code& error) {
  if (error == http::error::header_limit) {
    return fail(Errc::too_large, "headers");
  }
  if (error == http::error::body_limit) return fail(Errc::too_large, "body");
  return fail(Errc::malformed, error.message());
}

// Both sides: what makes a message read differently by two parsers.
template <bool isRequest>
Status check_framing(const http::header<isRequest, http::fields>& header) {
  const auto count = [&](http::field name) { return header.count(name); };
  if (count(http::field::transfer_encoding) + count(http::field::content_length) > 1) {
    return fail(Errc::malformed, "more than one length");
  }
  if (count(http::field::transfer_encoding) == 1 &&
      !boost::beast::iequals(header[http::field::transfer_encoding], "chunked")) {
    return fail(Errc::malformed, "transfer coding");
  }
  return {};
}

// Body of a response: into a string or on to a sink, counted either way.
struct ResponseBody {
  struct value_type {
    std::string text;
    std::function<void(ByteView)> sink;
    std::uint64_t seen = 0;
    std::uint64_t limit = 0;
  };
  struct reader {
    value_type& value;
    template <bool isRequest, class Fields>
    reader(http::header<isRequest, Fields>&, value_type& v) : value(v) {}
    void init(const boost::optional<std::uint64_t>&, boost::system::error_code& error) {
      error = {};
    }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, boost::system::error_code& error) {
      error = {};
      std::size_t total = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers);
           it != boost::asio::buffer_sequence_end(buffers); ++it) {
        const boost::asio::const_buffer piece = *it;
        const ByteView bytes(static_cast<const std::uint8_t*>(piece.data()), piece.size());
        value.seen += piece.size();
        if (value.seen > value.limit) {
          error = http::error::body_limit;  // before the sink sees one byte too many
          return total;
        }
        if (value.sink) {
          value.sink(bytes);
        } else {
          value.text.append(as_text(bytes));
        }
        total += piece.size();
      }
      return total;
    }
    void finish(boost::system::error_code& error) { error = {}; }
  };
};

}  // namespace

std::string_view reason_phrase(unsigned status) {
  return http::obsolete_reason(http::int_to_status(status));
}

Result<std::string> response_head(const HttpResponse& response, std::uint64_t body_length,
                                  bool keep_alive) {
  std::string out =
      fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason_phrase(response.status));
  const Status status = append_headers(out, response.headers);
  if (!status) return fail(status.error());
  const bool no_length = response.status < 200 || response.status == 204 || response.status == 304;
  if (!no_length) fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", body_length);
  if (!keep_alive) out += "Connection: close\r\n";
  out += "\r\n";
  return out;
}

Result<std::string> request_head(const HttpRequest& request, std::string_view host,
                                 std::string_view user_agent) {
  if (!is_token(request.method) || !is_target(request.target)) {
    return fail(Errc::invalid, "method or target");
  }
  std::string out = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\n", request.method,
                                request.target, host, user_agent);
  out += "Accept-Encoding: identity\r\n";
  const Status status = append_headers(out, request.headers);
  if (!status) return fail(status.error());
  const bool body_expected =
      request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (body_expected || !request.body.empty()) {
    fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", request.body.size());
  }
  out += "\r\n";
  return out;
}

struct RequestParser::Impl {
  http::request_parser<http::string_body> parser;
  bool checked = false;
  unsigned refusal_status = 400;
};

RequestParser::RequestParser(std::size_t header_bytes_max, std::size_t body_bytes_max)
    : impl_(std::make_unique<Impl>()) {
  impl_->parser.eager(true);
  impl_->parser.header_limit(static_cast<std::uint32_t>(header_bytes_max));
  impl_->parser.body_limit(body_bytes_max);
}

RequestParser::~RequestParser() = default;

Result<std::size_t> RequestParser::put(ByteView bytes) {
  auto& parser = impl_->parser;
  boost::system::error_code error;
  const std::size_t used = parser.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  if (error && error != http::error::need_more) {
    if (error == http::error::body_limit) impl_->refusal_status = 413;
    if (error == http::error::header_limit) impl_->refusal_status = 431;
    return parse_failure(error);
  }
  if (parser.is_header_done() && !impl_->checked) {
    impl_->checked = true;
    const auto& message = parser.get();
    const Status framing = check_framing(message.base());
    if (!framing) return fail(framing.error());
    if (message.version() != 11 && message.version() != 10) return fail(Errc::malformed, "version");
    if (!is_target(message.target())) return fail(Errc::malformed, "target");
    if (message.count(http::field::host) > 1 ||
        (message.version() == 11 && message.count(http::field::host) == 0)) {
      return fail(Errc::malformed, "Host header");
    }
  }
  return used;
}

bool RequestParser::header_done() const {
  return impl_->parser.is_header_done();
}

bool RequestParser::done() const {
  return impl_->parser.is_done();
}

unsigned RequestParser::refusal_status() const {
  return impl_->refusal_status;
}

bool RequestParser::expects_continue() const {
  return boost::beast::iequals(impl_->parser.get()[http::field::expect], "100-continue");
}

bool RequestParser::keep_alive() const {
  return impl_->parser.keep_alive();
}

HttpRequest RequestParser::take() {
  auto message = impl_->parser.release();
  HttpRequest out;
  out.method = std::string(message.method_string());
  out.target = std::string(message.target());
  out.headers = headers_of(message);
  out.body = std::move(message.body());
  return out;
}

struct ResponseParser::Impl {
  explicit Impl(ResponseParserOptions o) : options(std::move(o)) {}
  ResponseParserOptions options;
  http::response_parser<ResponseBody> parser;
  bool checked = false;
  bool good = false;  // 2xx

  Status check_header() {
    checked = true;
    const auto& message = parser.get();
    const Status framing = check_framing(message.base());
    if (!framing) return framing;
    good = message.result_int() >= 200 && message.result_int() < 300;
    auto& body = parser.get().body();
    if (good) body.sink = options.sink;
    body.limit = exact() ? *options.exact_length : options.body_bytes_max;
    const auto length = parser.content_length();
    if (!length || options.head_request) return {};
    if (exact() && *length != body.limit) return length_mismatch(*length);
    if (*length > body.limit) return fail(Errc::too_large, "body");
    return {};
  }

  bool exact() const { return good && options.exact_length && !options.head_request; }

  // Once done.
  Status check_length() const {
    const std::uint64_t seen = parser.get().body().seen;
    if (exact() && seen != *options.exact_length) return length_mismatch(seen);
    return {};
  }

  Status length_mismatch(std::uint64_t length) const {
    return fail(Errc::mismatch,
                fmt::format("body of {} bytes, expected {}", length, *options.exact_length));
  }
};

ResponseParser::ResponseParser(ResponseParserOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {
  auto& parser = impl_->parser;
  // Not eager: the header is judged before the first byte of the body goes to the sink.
  parser.header_limit(static_cast<std::uint32_t>(impl_->options.header_bytes_max));
  parser.body_limit(boost::none);  // ResponseBody has its own, which knows what was asked for
  parser.skip(impl_->options.head_request);
}

ResponseParser::~ResponseParser() = default;

Result<std::size_t> ResponseParser::put(ByteView bytes) {
  auto& parser = impl_->parser;
  std::size_t used = 0;
  for (;;) {
    boost::system::error_code error;
    const ByteView rest = bytes.subspan(used);
    if (rest.empty() && used > 0) break;
    const std::size_t n = parser.put(boost::asio::const_buffer(rest.data(), rest.size()), error);
    used += n;
    if (error == http::error::body_limit && impl_->exact()) {
      return fail(impl_->length_mismatch(parser.get().body().seen).error());
    }
    if (error && error != http::error::need_more) return parse_failure(error);
    if (parser.is_header_done() && !impl_->checked) {
      const Status status = impl_->check_header();
      if (!status) return fail(status.error());
    }
    if (parser.is_done()) {
      const Status status = impl_->check_length();
      if (!status) return fail(status.error());
    }
    if (parser.is_done() || error == http::error::need_more || n == 0) break;
  }
  return used;
}

Status ResponseParser::put_end() {
  boost::system::error_code error;
  if (impl_->parser.got_some() && !impl_->parser.is_done()) impl_->parser.put_eof(error);
  if (error || !impl_->parser.is_done()) {
    return fail(Errc::unavailable, "the server closed the connection in the middle of its answer");
  }
  return impl_->check_length();
}

bool ResponseParser::done() const {
  return impl_->parser.is_done();
}

bool ResponseParser::keep_alive() const {
  return impl_->parser.keep_alive() && !impl_->parser.need_eof();
}

HttpResponse ResponseParser::take() {
  auto message = impl_->parser.release();
  HttpResponse out;
  out.status = message.result_int();
  out.headers = headers_of(message);
  out.body = std::move(message.body().text);
  return out;
}

}  // namespace rap::net
