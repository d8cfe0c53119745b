// The only stream type outside base/net: bytes in order, both ways, one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.hpp"
#include "base/net/task.hpp"

namespace rap::net {

// Used from one executor. At most one read and at most one write are pending at a time; a read and
// a write may be. Buffers must live until the awaited call ends. Failures are NetError.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  // Waits for at least one byte and returns how many were stored; 0 means the peer ended its
  // direction in an orderly way. `into` must not be empty.
  virtual Task<std::size_t> read_some(std::span<std::uint8_t> into) = 0;

  // Returns when all bytes were handed to the layer below.
  virtual Task<void> write_all(ByteView bytes) = 0;

  // Ends our direction; the peer reads 0 after the last byte. Reading stays possible.
  virtual Task<void> shutdown() = 0;

  // Ends both directions at once; pending calls fail with `cancelled`, later ones too. Idempotent.
  virtual void close() = 0;
};

using ByteStreamPtr = std::unique_ptr<ByteStream>;

// Fills `into`; false when the stream ended before its first byte, NetError `unavailable` when it
// ended in the middle.
Task<bool> read_exact(ByteStream& stream, std::span<std::uint8_t> into);

}  // namespace rap::net
