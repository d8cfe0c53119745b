// Two ends of a stream without sockets.
#pragma once

#include <utility>

#include "base/net/byte_stream.hpp"

namespace rap::test {

struct MemoryPair {
  net::ByteStreamPtr a;
  net::ByteStreamPtr b;
};

// What is written to one end is read at the other; a writer waits while `capacity` bytes are
// unread, so backpressure is as real as on a socket.
MemoryPair make_memory_pair(net::asio::any_io_executor executor, std::size_t capacity = 64 * 1024);

}  // namespace rap::test
