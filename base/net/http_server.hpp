// An HTTPS (or, for loopback tests and probes, HTTP) server over our own TLS.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/net/http.hpp"
#include "base/net/tcp.hpp"
#include "base/net/tls.hpp"

namespace rap::net {

struct PeerInfo {
  std::string address;                         // "192.0.2.1:4711"
  std::optional<PeerCertificate> certificate;  // verified by the TLS context's ClientPolicy
  std::uint64_t connection = 0;                // number of the connection, unique per server

  // URI of the certificate; empty without one.
  std::string_view spiffe() const {
    return certificate ? std::string_view(certificate->spiffe_uri) : std::string_view();
  }
};

// Runs on the server's executor. `request` and `peer` live until the returned task ends. When the
// client goes away the task is cancelled at its next wait. An exception becomes a 500 with an
// empty problem document, and one log line.
using HttpHandler = std::function<Task<HttpResponse>(const HttpRequest&, const PeerInfo&)>;

struct HttpServerLimits {
  std::size_t header_bytes_max = 32 * 1024;  // a request with more gets 431
  std::size_t body_bytes_max = 1024 * 1024;  // 413
  std::size_t connections_max = 4096;        // see base/net/connection_slots.hpp
  std::size_t per_network_max = 1024;        // a site behind one address; not everybody's places
  milliseconds handshake_timeout{10'000};    // also for garbage before TLS
  milliseconds header_timeout{10'000};       // first byte to end of headers
  milliseconds body_timeout{30'000};         // end of headers to end of body
  milliseconds idle_timeout{75'000};         // between requests
  milliseconds write_timeout{60'000};        // one response, or 64 KiB of a file
  milliseconds handler_timeout{60'000};      // 503 after it; above the 25 s long poll
  std::uint64_t requests_per_connection_max = 100'000;
};

struct HttpServerStats {
  std::uint64_t accepted = 0;
  std::uint64_t refused_full = 0;      // over connections_max or per_network_max
  std::uint64_t ended_idle = 0;        // to give the place to somebody else
  std::uint64_t handshake_failed = 0;  // garbage, wrong certificate, too slow
  std::uint64_t bad_requests = 0;      // answered 400, 413, 431, or cut off
  std::uint64_t requests = 0;
  std::size_t connections = 0;  // now
  std::size_t handshakes = 0;   // now
};

// Not movable. Everything on one executor (one thread); for several threads make one server per
// io_context with listeners that share the port.
class HttpServer {
 public:
  // Serves connections of `listener` from start() on. Without `tls` it speaks plain HTTP.
  HttpServer(asio::any_io_executor executor, std::unique_ptr<Listener> listener,
             std::optional<TlsServerContext> tls, HttpHandler handler,
             HttpServerLimits limits = {});
  // drain() must have ended, or start() never been called.
  ~HttpServer();

  void start();
  HostPort local_address() const;
  HttpServerStats stats() const;

  // Closes every connection for which `predicate` is true, in the middle of whatever it does;
  // returns how many.
  std::size_t close_connections_if(const std::function<bool(const PeerInfo&)>& predicate);

  // Stops accepting, closes idle connections, lets requests finish for `grace`, cancels the rest.
  Task<void> drain(milliseconds grace);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with the tasks it runs
};

}  // namespace rap::net
