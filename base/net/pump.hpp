// Bytes between a client's stream and the worker's socket.
#pragma once

#include <memory>

#include "base/net/byte_stream.hpp"

namespace rap::net {

struct PumpCounts {
  std::uint64_t up = 0;    // client to worker
  std::uint64_t down = 0;  // worker to client
};

// Carries both directions until the worker ends or either side is lost; the client's end alone is
// passed on and the worker decides. Does not throw for a lost stream. `counts` must outlive it.
net::Task<void> pump(std::shared_ptr<net::ByteStream> client,
                     std::shared_ptr<net::ByteStream> worker, PumpCounts& counts);

}  // namespace rap::net
