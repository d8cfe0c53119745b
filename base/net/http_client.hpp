// An HTTP/1.1 client for one server. Never follows redirects, never decompresses.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/net/http.hpp"
#include "base/net/tcp.hpp"
#include "base/net/tls.hpp"

namespace rap::net {

struct Url {
  bool https = true;
  HostPort address;
  std::string path;  // begins with '/', no query
};
// "https://host[:port][/path]" or http. `malformed` for user info, query, fragment, other schemes.
Result<Url> parse_url(std::string_view text);

struct HttpClientOptions {
  std::string base_url;                 // its path is put before every target
  std::optional<TlsClientContext> tls;  // required for https, refused for http
  std::string user_agent = "rap";
  milliseconds connect_timeout{10'000};  // TCP and TLS together
  milliseconds idle_reuse{30'000};       // a kept connection older than this is not used again
  std::size_t kept_connections_max = 4;
};

// What one call may cost.
struct HttpCall {
  milliseconds deadline{30'000};             // everything, from connecting to the last byte
  std::size_t body_bytes_max = 1024 * 1024;  // `too_large` above; also for the sink
  std::size_t header_bytes_max = 32 * 1024;
  // When set, a 2xx body goes here in pieces instead of HttpResponse::body. Throwing ends the call.
  std::function<void(ByteView)> sink;
  // When set, it is the limit of a 2xx body, and another length fails with `mismatch` as soon as
  // that is known.
  std::optional<std::uint64_t> exact_length;
  // 0 off. Slower than this over 10 s: `timeout`. For long downloads, instead of a short deadline.
  std::uint64_t bytes_per_second_min = 0;
};

// One executor. Calls may run at the same time; each has its own connection, kept for the next.
class HttpClient {
 public:
  // `malformed` URL, `invalid` when TLS options do not fit the scheme.
  static Result<std::unique_ptr<HttpClient>> create(asio::any_io_executor executor,
                                                    const HttpClientOptions& options);
  ~HttpClient();

  // Any status is a response. Throws NetError. Repeats by itself once, on a fresh connection, when
  // a kept one turns out dead before any byte of the answer and the method is GET, HEAD, PUT or
  // DELETE.
  Task<HttpResponse> send(HttpRequest request);
  Task<HttpResponse> send(HttpRequest request, HttpCall call);

  // Drops kept connections, for example after a change of identity.
  void forget_connections();

 private:
  struct Impl;
  explicit HttpClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rap::net
