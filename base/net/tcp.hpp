// TCP as a ByteStream.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/file.hpp"
#include "base/net/byte_stream.hpp"
#include "base/result.hpp"

namespace rap::net {

struct HostPort {
  std::string host;  // a name or an address, IPv6 without brackets
  std::uint16_t port = 0;

  // "host:port", "[::1]:port".
  std::string text() const;
  bool operator==(const HostPort&) const = default;
};

// Accepts "name:1", "192.0.2.1:1", "[2001:db8::1]:1". `malformed` for anything else: no port, port
// over 65535, an IPv6 address without brackets, a name with characters outside [A-Za-z0-9._-],
// over 253 characters.
Result<HostPort> parse_host_port(std::string_view text);

// True for an IPv4 or IPv6 literal.
bool is_ip_literal(std::string_view host);

struct TcpOptions {
  // "" leaves the system's choice; "cubic", "reno", "bbr" when the kernel has it (ignored if not).
  std::string congestion;
  // TCP_NOTSENT_LOWAT in bytes, 0 off: how much the kernel queues before a write waits. Small
  // keeps keystrokes from queueing behind bulk.
  int not_sent_low_water = 0;
};

// A connected socket that is not bound to an io_context, TCP_NODELAY set.
class TcpStream : public ByteStream {
 public:
  // "192.0.2.1:4711"; empty for another kind of socket.
  virtual std::string peer_address() const = 0;
  virtual std::string local_address() const = 0;
  virtual void set_options(const TcpOptions& options) = 0;
  virtual int native_handle() const = 0;
  // Gives the descriptor away; the stream is closed afterwards.
  virtual Fd release() = 0;
};

// Resolves, tries the addresses in order, and returns the first that answers within `timeout`
// altogether. Throws NetError: `unavailable` (no such name, refused, no route), `timeout`.
// `share`: for whom; of each one name is looked up at a time, empty: of each name.
Task<std::unique_ptr<TcpStream>> connect_tcp(std::string host, std::uint16_t port,
                                             milliseconds timeout, std::string share = {});

// Wraps a connected stream socket (TCP or Unix) that the caller got elsewhere; makes it
// non-blocking. Also for either end of a socketpair.
std::unique_ptr<TcpStream> wrap_socket(asio::any_io_executor executor, Fd socket);

// A socketpair(AF_UNIX, SOCK_STREAM): the first end as a stream here, the second to hand away.
struct StreamPair {
  std::unique_ptr<TcpStream> here;
  Fd there;
};
StreamPair make_stream_pair(asio::any_io_executor executor);

class Listener {
 public:
  // Binds and listens; port 0 picks a free one. Fails with `conflict` when the address is in use,
  // `unavailable` when it is not of this host. `share_port` sets SO_REUSEPORT.
  enum class SharePort { no, yes };
  static Result<std::unique_ptr<Listener>> bind(asio::any_io_executor executor,
                                                const HostPort& address,
                                                SharePort share = SharePort::no);
  virtual ~Listener() = default;

  // The next connection. Out of descriptors: waits and tries again. Throws NetError `cancelled`
  // after close().
  virtual Task<std::unique_ptr<TcpStream>> accept() = 0;
  virtual HostPort local_address() const = 0;
  virtual void close() = 0;
};

}  // namespace rap::net
