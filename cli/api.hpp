// Calls of the control plane's HTTP API (docs/contracts/http-api.md).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

#include "cli/config.hpp"
#include "cli/failure.hpp"

namespace rap::cli {

namespace json = boost::json;

struct ApiRequest {
  std::string method = "GET";
  std::string path;      // "/v1/...", with query
  std::string body;      // JSON; empty: none
  std::string if_match;  // ETag, for updates
};

struct ApiResponse {
  std::string body;  // JSON; empty: none
  std::string etag;
};

// More is not read by a person.
inline constexpr std::size_t kListItemsMax = 10'000;

// The seam between commands and the network.
class Api {
 public:
  virtual ~Api() = default;
  // Throws Failure for every answer that is not 2xx, with the server's words.
  virtual ApiResponse send(const ApiRequest& request) = 0;

  // The answer; null when it has no body.
  json::value get(const std::string& path);
  json::value post(const std::string& path);  // with an empty object
  json::value post(const std::string& path, const json::value& body);
  json::value remove(const std::string& path);
  // All pages of a list, at most `most` items; says so on standard error when there are more.
  json::array list(const std::string& path, std::size_t most = kListItemsMax);
};

// The login needs a code of the authenticator: the one answer that a caller goes on from.
class TotpRequired : public Failure {
 public:
  using Failure::Failure;
};

// Over HTTPS, trusting only the CA of `context`. Throws Failure when the context has no server or
// no CA. A create carries a fresh Idempotency-Key and is repeated once when its answer is lost.
std::unique_ptr<Api> connect_api(const Context& context);

// The error of an answer that is not 2xx; `body` as received. Pure.
[[noreturn]] void throw_api_failure(const ApiRequest& request, unsigned status,
                                    const std::string& body);

}  // namespace rap::cli
