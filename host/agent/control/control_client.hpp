// Calls to the control plane: JSON over mTLS, its errors as ours.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <boost/json/fwd.hpp>

#include "base/crypto.hpp"
#include "base/net/task.hpp"
#include "base/net/tls.hpp"
#include "base/result.hpp"

namespace rap::net {
class HttpClient;
}

namespace rap::agent {

struct ServerAddress {
  std::string base_url;  // "https://host:port"
  Sha256Digest pin{};    // of the platform CA's key
};

// TLS settings for that server: trust by pin, our certificate when there is one.
Result<net::TlsClientContext> control_tls(const ServerAddress& server,
                                          const std::optional<net::TlsIdentity>& identity);

class ControlClient {
 public:
  explicit ControlClient(net::asio::any_io_executor executor);
  ~ControlClient();
  ControlClient(const ControlClient&) = delete;
  ControlClient& operator=(const ControlClient&) = delete;

  // Call before anything else, and again after the certificate changed: later calls use the new
  // one, calls in flight end on the old. `malformed` URL or PEM.
  Status connect_to(const ServerAddress& server, const std::optional<net::TlsIdentity>& identity);

  // The body of a 2xx answer (null when empty). Otherwise the problem's code and detail, or what
  // stopped the connection: `unavailable`, `timeout`, `unauthorized`, `expired` (with a word about
  // the clock), `mismatch`. Bodies of both directions are at most 1 MiB.
  net::Task<Result<boost::json::value>> get(std::string target, net::milliseconds deadline);
  net::Task<Result<boost::json::value>> post(std::string target, const boost::json::object& body,
                                             net::milliseconds deadline);

 private:
  net::Task<Result<boost::json::value>> send(std::string method, std::string target,
                                             std::string body, net::milliseconds deadline);

  net::asio::any_io_executor executor_;
  std::shared_ptr<net::HttpClient> client_;  // shared with calls in flight during a change
};

// What an HTTP answer other than 2xx means.
Error problem_error(unsigned status, std::string_view body);

}  // namespace rap::agent
