#include "fabric/ends/echo.hpp"

#include "base/net/net_error.hpp"
#include "base/net/timer.hpp"

namespace rap::fabric {

using net::NetError;
using net::Task;

namespace {

Task<void> echo(net::ByteStream& stream, EchoLimits limits) {
  Bytes buffer(16 * 1024);  // one TLS record
  std::uint64_t left = limits.bytes_max;
  while (left > 0) {
    const std::size_t n = co_await net::with_deadline(stream.read_some(buffer), limits.idle);
    if (n == 0) break;
    const ByteView bytes = ByteView(buffer).first(n);
    co_await net::with_deadline(stream.write_all(bytes), limits.idle);
    left -= std::min<std::uint64_t>(left, n);
  }
  co_await stream.shutdown();
}

}  // namespace

Task<void> serve_echo(net::ByteStreamPtr stream, EchoLimits limits) {
  try {
    co_await net::with_deadline(echo(*stream, limits), limits.life);
  } catch (const NetError&) {
    stream->close();  // whoever traced sees where it ended
  }
}

}  // namespace rap::fabric
