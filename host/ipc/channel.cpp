#include "host/ipc/channel.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace rap::ipc {
namespace {

constexpr std::size_t kControlBytes = CMSG_SPACE(sizeof(int) * kDescriptorsMax);

void take_descriptors(msghdr& message, std::vector<Fd>& out) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      out.emplace_back(fd);
    }
  }
}

Error system_error(const char* what) {
  return {Errc::internal, std::string(what) + ": " + errno_text(errno)};
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(Errc::invalid, "socket path longer than 107 bytes: " + path);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<Fd> new_socket() {
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail(system_error("socket"));
  return socket;
}

}  // namespace

Channel::Channel(Fd socket) : socket_(std::move(socket)) {
  fcntl(socket_.get(), F_SETFL, fcntl(socket_.get(), F_GETFL) | O_NONBLOCK);
  fcntl(socket_.get(), F_SETFD, FD_CLOEXEC);
}

Result<Io> Channel::send(std::string_view text, std::span<const int> fds) {
  if (text.size() > kMessageBytesMax) return fail(Errc::too_large, "message over 64 KiB");
  if (fds.size() > kDescriptorsMax) return fail(Errc::too_large, "more than 4 descriptors");
  iovec part{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  while (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == ETOOMANYREFS) return Io::again;
    if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) return Io::closed;
    return fail(system_error("sendmsg"));
  }
  return Io::done;
}

Result<Io> Channel::receive(Packet& out) {
  out.fds.clear();
  out.text.resize(kMessageBytesMax);
  iovec part{out.text.data(), out.text.size()};
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t n = 0;
  while ((n = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT)) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Io::again;
    if (errno == ECONNRESET || errno == ENOTCONN) return Io::closed;
    return fail(system_error("recvmsg"));
  }
  take_descriptors(message, out.fds);
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    out.fds.clear();
    return fail(Errc::malformed, "message over 64 KiB or with more than 4 descriptors");
  }
  if (n == 0) return Io::closed;
  out.text.resize(static_cast<std::size_t>(n));
  return Io::done;
}

Result<unsigned> peer_uid(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return fail(system_error("SO_PEERCRED"));
  }
  return peer.uid;
}

Result<std::pair<Fd, Fd>> channel_pair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    return fail(system_error("socketpair"));
  }
  return std::pair<Fd, Fd>(ends[0], ends[1]);
}

Result<Fd> listen_at(const std::string& path) {
  auto address = address_of(path);
  if (!address) return fail(address.error());
  auto socket = new_socket();
  if (!socket) return socket;
  ::unlink(path.c_str());
  // Nobody can connect before listen(), so the mode is right in time.
  if (::bind(socket->get(), reinterpret_cast<sockaddr*>(&*address), sizeof *address) != 0 ||
      ::chmod(path.c_str(), 0600) != 0 || ::listen(socket->get(), 8) != 0) {
    return fail(Errc::internal, path + ": " + errno_text(errno));
  }
  return socket;
}

Result<Fd> connect_to(const std::string& path) {
  auto address = address_of(path);
  if (!address) return fail(address.error());
  auto socket = new_socket();
  if (!socket) return socket;
  if (::connect(socket->get(), reinterpret_cast<sockaddr*>(&*address), sizeof *address) != 0) {
    // EAGAIN: the backlog is full, that is, the process does not accept.
    return fail(Errc::unavailable, path + ": " + errno_text(errno));
  }
  return socket;
}

}  // namespace rap::ipc
