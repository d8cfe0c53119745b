// One end of a SOCK_SEQPACKET connection: whole messages with descriptors.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"
#include "base/result.hpp"

namespace rap::ipc {

// docs/contracts/ipc.md: everything that flows here is configuration-sized; bulk flows elsewhere.
inline constexpr std::size_t kMessageBytesMax = std::size_t{64} << 10;
inline constexpr std::size_t kDescriptorsMax = 4;

struct Packet {
  std::string text;
  std::vector<Fd> fds;  // close-on-exec
};

enum class Io {
  done,
  again,   // would block; wait for the descriptor
  closed,  // the peer is gone
};

// Not thread-safe. Never blocks.
class Channel {
 public:
  Channel() = default;
  // Takes a connected SOCK_SEQPACKET socket and makes it non-blocking and close-on-exec.
  explicit Channel(Fd socket);

  int fd() const { return socket_.get(); }
  explicit operator bool() const { return static_cast<bool>(socket_); }
  void close() { socket_.reset(); }

  // Whole or not at all. The caller keeps `fds`. `too_large` over a limit; `internal` for a fault.
  Result<Io> send(std::string_view text, std::span<const int> fds = {});
  // Fills `out` when done. `malformed` for a message over a limit (it is lost, its descriptors are
  // closed).
  Result<Io> receive(Packet& out);

 private:
  Fd socket_;
};

// The uid of the peer as this process sees it (inside a user namespace: 65534 for every uid that
// is not mapped).
Result<unsigned> peer_uid(int socket);

// A connected pair; for tests and for processes that start each other.
Result<std::pair<Fd, Fd>> channel_pair();
// Binds and listens; the file gets mode 0600. An old socket at `path` is replaced. `invalid` when
// the path is longer than a socket's name may be (107 bytes).
Result<Fd> listen_at(const std::string& path);
// `unavailable` when nobody listens.
Result<Fd> connect_to(const std::string& path);

}  // namespace rap::ipc
