#include "base/net/byte_stream.hpp"

#include "base/net/net_error.hpp"

namespace rap::net {

Task<bool> read_exact(ByteStream& stream, std::span<std::uint8_t> into) {
  std::size_t have = 0;
  while (have < into.size()) {
    const std::size_t n = co_await stream.read_some(into.subspan(have));
    if (n == 0) {
      if (have == 0) co_return false;
      throw NetError(Errc::unavailable, "the stream ended in the middle");
    }
    have += n;
  }
  co_return true;
}

}  // namespace rap::net
