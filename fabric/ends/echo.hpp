// synthetic.echo: the service every node has, to see whether a way carries bytes.
#pragma once

#include "base/net/byte_stream.hpp"

namespace rap::fabric {

struct EchoLimits {
  // A person looks at a trace; a script that forgot to end it does not keep a place.
  net::milliseconds idle{30'000};
  net::milliseconds life{600'000};
  // Enough to measure a gigabit for a second; no free bandwidth beyond it.
  std::uint64_t bytes_max = 128u << 20;
};

// Sends back what comes until the other end ends, or a limit is reached. Throws no NetError.
net::Task<void> serve_echo(net::ByteStreamPtr stream, EchoLimits limits);

}  // namespace rap::fabric
