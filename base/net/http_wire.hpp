// Private to base/net: messages to and from bytes. The parsers are Beast's; this is the glue, and
// the place where ambiguous messages are refused.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "base/net/http.hpp"
#include "base/result.hpp"

namespace rap::net {

// "HTTP/1.1 200 OK\r\n...": everything before the body. `body_length` becomes Content-Length,
// except where HTTP forbids one. A header with a line break or a bad name makes it `invalid`.
Result<std::string> response_head(const HttpResponse& response, std::uint64_t body_length,
                                  bool keep_alive);
Result<std::string> request_head(const HttpRequest& request, std::string_view host,
                                 std::string_view user_agent);

std::string_view reason_phrase(unsigned status);

// One request out of bytes that come in pieces.
class RequestParser {
 public:
  RequestParser(std::size_t header_bytes_max, std::size_t body_bytes_max);
  ~RequestParser();

  // Takes what it can and returns how many bytes that were; the caller keeps the rest and comes
  // back with more behind it. Fails with `malformed` or `too_large`; see refusal_status().
  Result<std::size_t> put(ByteView bytes);
  bool header_done() const;
  bool done() const;
  // What to answer after put() failed: 400, 413 (body) or 431 (headers).
  unsigned refusal_status() const;
  bool expects_continue() const;  // once header_done()
  bool keep_alive() const;
  HttpRequest take();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct ResponseParserOptions {
  std::size_t header_bytes_max = 32 * 1024;
  std::uint64_t body_bytes_max = 1024 * 1024;
  bool head_request = false;                  // then no body follows
  std::function<void(ByteView)> sink;         // gets a 2xx body
  std::optional<std::uint64_t> exact_length;  // of a 2xx body
};

class ResponseParser {
 public:
  explicit ResponseParser(ResponseParserOptions options);
  ~ResponseParser();

  // As RequestParser; also `mismatch` for exact_length. What `sink` throws passes through.
  Result<std::size_t> put(ByteView bytes);
  // The connection ended. Fails with `unavailable` when the message was not complete.
  Status put_end();
  bool done() const;
  bool keep_alive() const;
  HttpResponse take();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rap::net
