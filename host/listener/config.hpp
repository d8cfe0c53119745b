// What the agent tells the listener with `configure`; docs/contracts/ipc.md.
#pragma once

#include <boost/json/fwd.hpp>

#include "base/net/tcp.hpp"
#include "base/net/tls.hpp"
#include "fabric/lease.hpp"

namespace rap::listener {

struct ListenerConfig {
  net::HostPort listen;
  net::TlsServerContext tls;
  fabric::LeaseVerifier verifier;
};

// Checks everything before anything is used: addresses, the certificate against the cluster's CA,
// its name (must be `audience`), the lease keys. The error says which.
Result<ListenerConfig> parse_configure(const boost::json::object& message, SystemTime now);

}  // namespace rap::listener
