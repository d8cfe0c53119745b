#include "signing/tuf_client/timed_socket.hpp"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace rap::tuf {
namespace {

tl::unexpected<Error> broken(std::string_view what) {
  const int error = errno;
  return fail(Errc::unavailable, std::string(what) + ": " + errno_text(error));
}

Status wait_for(int fd, short events, TimedSocket::TimePoint deadline) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return fail(Errc::timeout, "the other side is too slow");
    pollfd entry{.fd = fd, .events = events, .revents = 0};
    constexpr long kSliceMs = 60'000;  // fits an int whatever the deadline
    const int n = ::poll(&entry, 1, static_cast<int>(std::min<long>(left.count(), kSliceMs)));
    if (n > 0) return {};
    if (n < 0 && errno != EINTR) return broken("poll");
  }
}

Result<Fd> connect_one(const addrinfo& address, TimedSocket::TimePoint deadline) {
  Fd fd(::socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                 address.ai_protocol));
  if (!fd) return broken("socket");
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0) return fd;
  if (errno != EINPROGRESS) return broken("connect");
  if (auto status = wait_for(fd.get(), POLLOUT, deadline); !status) {
    return fail(std::move(status.error()));
  }
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error == 0) return fd;
  errno = error;
  return broken("connect");
}

}  // namespace

Result<TimedSocket> TimedSocket::connect(const std::string& host, const std::string& port,
                                         TimePoint deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return fail(Errc::unavailable, "resolve " + host + ": " + ::gai_strerror(error));
  }
  std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  Error last{Errc::unavailable, "resolve " + host + ": no address"};
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    auto fd = connect_one(*address, deadline);
    if (fd) return TimedSocket(std::move(*fd));
    last = std::move(fd.error());
  }
  return fail(last, host + ":" + port);
}

Status TimedSocket::write_all(ByteView bytes, TimePoint deadline) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return broken("send");
    if (auto status = wait_for(fd_.get(), POLLOUT, deadline); !status) return status;
  }
  return {};
}

Result<std::size_t> TimedSocket::read_some(std::span<std::uint8_t> buffer, TimePoint deadline) {
  for (;;) {
    const ssize_t n = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return broken("receive");
    if (auto status = wait_for(fd_.get(), POLLIN, deadline); !status) {
      return fail(std::move(status.error()));
    }
  }
}

}  // namespace rap::tuf
