// The client's end of a stream to a session on a node.
#pragma once

#include <memory>
#include <string>

#include "base/net/byte_stream.hpp"
#include "base/net/tcp.hpp"
#include "base/net/tls.hpp"
#include "base/result.hpp"

namespace rap::fabric {

struct SessionStreamOptions {
  std::string endpoint;        // "host:port" of the node's mesh listener
  std::string spiffe_id;       // whom the certificate must name
  std::string cluster_ca_pem;  // who must have issued it
  net::TlsIdentity identity;   // the one whose sha256 the lease names
  std::string session_id;
  std::string lease;
  net::milliseconds timeout{15'000};  // connect, TLS and the node's answer together
  net::TcpOptions tcp;
};

// Connects, opens the stream and returns it: its bytes are the session frames of
// docs/contracts/frames.md. An error is the node's own answer (`rap-error`, `rap-detail`) or why
// it could not be reached: `unavailable`, `timeout`, `unauthorized`, `mismatch`, `expired`.
// The stream owns its connection; use and destroy it on the executor it was opened on.
net::Task<Result<net::ByteStreamPtr>> open_session_stream(SessionStreamOptions options);

}  // namespace rap::fabric
