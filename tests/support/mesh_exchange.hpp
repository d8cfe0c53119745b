// Bytes to an echo and back over one stream: every one once, in order.
#pragma once

#include <functional>

#include "base/crypto.hpp"
#include "base/net/byte_stream.hpp"

namespace rap::test {

// Stands in what is exchanged, every 4 KiB.
inline constexpr std::string_view kPlaintextMark = "this is the plaintext of a session";

struct Exchange {
  std::size_t sent = 0;
  std::size_t received = 0;
  bool same = false;  // the hashes of what was sent and of what came back, and their lengths
};

// Called with what has come back so far.
enum class Then { go_on, enough };
using OnProgress = std::function<Then(std::size_t received)>;

// Sends `bytes`, or until `progress`, which may be empty, says that it is enough; reads until the
// other end has ended.
net::Task<Exchange> exchange(net::ByteStream& stream, std::size_t bytes, OnProgress progress);

}  // namespace rap::test
