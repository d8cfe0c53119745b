// Private to base/net.
#pragma once

#include "base/net/direct_io.hpp"

namespace rap::net {

// Any stream as a BatchedIo: its calls wait in coroutines, which keep it.
std::unique_ptr<BatchedIo> make_batched_stream(asio::any_io_executor executor,
                                               ByteStreamPtr stream);

}  // namespace rap::net
