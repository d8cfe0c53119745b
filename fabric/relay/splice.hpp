// Carries a stream on: into another stream, or into a socket. No coroutine, no buffer while nothing
// waits; a sender may send on only when what it sent has gone out at the other side.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/net/tcp.hpp"
#include "fabric/h2/connection.hpp"
#include "fabric/h2/stream.hpp"
#include "fabric/relay/traffic.hpp"

namespace rap::fabric {

struct SpliceEnd {
  std::uint64_t up = 0;      // from the first to the second
  std::uint64_t down = 0;    // back
  std::optional<Error> why;  // nothing when both directions ended in order
};

// A cut splice fails with `cancelled` on both sides.
class Splice {
 public:
  virtual ~Splice() = default;
  virtual void cut() = 0;
  virtual SpliceEnd counts() const = 0;
};

struct SpliceOptions {
  std::optional<Traffic::Slot> slot;             // pays for what goes through; none: free
  std::function<void(const SpliceEnd&)> done;    // called once, from the executor; may be empty
  H2Limits::Turn turn = H2Limits::Turn::prompt;  // of the socket
};

// The end of one direction goes on as such, a reset as a reset. The streams keep the splice until
// both are closed; the result is for cut() and counts().
std::shared_ptr<Splice> splice_streams(net::asio::any_io_executor executor,
                                       std::unique_ptr<H2Stream> first,
                                       std::unique_ptr<H2Stream> second, SpliceOptions options);

// The same into a socket: a lost one resets the stream.
std::shared_ptr<Splice> splice_socket(net::asio::any_io_executor executor,
                                      std::unique_ptr<H2Stream> stream,
                                      std::unique_ptr<net::TcpStream> socket,
                                      SpliceOptions options);

}  // namespace rap::fabric
