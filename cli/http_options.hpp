// How the control plane is connected to.
#pragma once

#include "base/net/http_client.hpp"
#include "cli/config.hpp"

namespace rap::cli {

// HTTPS, trusting only the CA of `context`. Throws Failure when the context has no server, its
// address is none, or it has no CA.
net::HttpClientOptions http_options(const Context& context);

}  // namespace rap::cli
