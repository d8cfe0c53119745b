#include "cli/http_options.hpp"

#include <algorithm>

#include "base/bytes.hpp"
#include "cli/failure.hpp"

namespace rap::cli {
namespace {

net::TlsClientContext tls_of(const Context& context) {
  net::TlsClientOptions options;
  if (!context.ca_pem.empty()) {
    options.trust = net::TrustCa{context.ca_pem};
  } else {
    const auto pin = from_base64url(context.ca_pin);
    net::TrustPin trust;
    if (!pin || pin->size() != trust.spki_sha256.size()) {
      throw Failure(Exit::unauthorized, "no certificate authority is known for " + context.server,
                    "rapctl login --server " + context.server);
    }
    std::copy(pin->begin(), pin->end(), trust.spki_sha256.begin());
    options.trust = trust;
  }
  return require(net::TlsClientContext::create(options), "certificate authority");
}

}  // namespace

net::HttpClientOptions http_options(const Context& context) {
  if (context.server.empty()) {
    throw Failure(Exit::usage, "no server is known",
                  "rapctl login --server https://host:port, or set RAP_SERVER");
  }
  const auto url = net::parse_url(context.server);
  if (!url || !url->https) {
    throw Failure(Exit::usage, "not a server address: '" + context.server + "'",
                  "give it as https://host:port");
  }
  net::HttpClientOptions options;
  options.base_url = context.server;
  options.tls = tls_of(context);
  options.user_agent = "rapctl";
  return options;
}

}  // namespace rap::cli
