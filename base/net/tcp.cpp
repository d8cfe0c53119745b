#include "base/net/tcp.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <charconv>
#include <cstring>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/net/asio_error.hpp"
#include "base/net/direct_io.hpp"
#include "base/net/name_lookups.hpp"
#include "base/net/timer.hpp"

namespace rap::net {

namespace {

using tcp = asio::ip::tcp;
using Socket = asio::generic::stream_protocol::socket;

// After so many bytes without a wait, others on the thread get a turn.
constexpr std::size_t kTurnBytes = 1024 * 1024;

std::string address_text(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return HostPort{text, ntohs(v4.sin_port)}.text();
  }
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return HostPort{text, ntohs(v6.sin6_port)}.text();
  }
  return {};
}

class SocketStream final : public TcpStream, public DirectIo {
 public:
  SocketStream(const asio::any_io_executor& executor, Fd fd) : socket_(executor) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      throw errno_to_net_error(errno, "socket");
    }
    local_ = address_text(address);
    length = sizeof address;
    if (::getpeername(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0) {
      peer_ = address_text(address);
    }
    if (!local_.empty()) {
      const int on = 1;
      ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    socket_.assign(asio::generic::stream_protocol(address.ss_family, 0), fd.get());
    fd.release();
    socket_.native_non_blocking(true);
  }

  Task<std::size_t> read_some(std::span<std::uint8_t> into) override {
    if (spent_reading_ >= kTurnBytes) {
      spent_reading_ = 0;
      co_await asio::post(socket_.get_executor(), asio::use_awaitable);
    }
    for (;;) {
      if (!socket_.is_open()) throw NetError(Errc::cancelled, "read: closed");
      const ssize_t n = ::recv(socket_.native_handle(), into.data(), into.size(), 0);
      if (n >= 0) {
        spent_reading_ += static_cast<std::size_t>(n);
        co_return static_cast<std::size_t>(n);
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN) throw errno_to_net_error(errno, "read");
      spent_reading_ = 0;
      co_await wait(Socket::wait_read, "read");
    }
  }

  Task<void> write_all(ByteView bytes) override {
    while (!bytes.empty()) {
      if (!socket_.is_open()) throw NetError(Errc::cancelled, "write: closed");
      if (spent_writing_ >= kTurnBytes) {
        spent_writing_ = 0;
        co_await asio::post(socket_.get_executor(), asio::use_awaitable);
        continue;
      }
      const ssize_t n = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n >= 0) {
        spent_writing_ += static_cast<std::size_t>(n);
        bytes = bytes.subspan(static_cast<std::size_t>(n));
        continue;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN) throw errno_to_net_error(errno, "write");
      spent_writing_ = 0;
      co_await wait(Socket::wait_write, "write");
    }
  }

  std::optional<std::size_t> read_now(std::span<std::uint8_t> into) override {
    if (!socket_.is_open()) throw NetError(Errc::cancelled, "read: closed");
    for (;;) {
      const ssize_t n = ::recv(socket_.native_handle(), into.data(), into.size(), 0);
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno == EAGAIN) return std::nullopt;
      if (errno != EINTR) throw errno_to_net_error(errno, "read");
    }
  }

  std::size_t write_now(ByteView bytes) override {
    if (!socket_.is_open()) throw NetError(Errc::cancelled, "write: closed");
    for (;;) {
      const ssize_t n = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno == EAGAIN) return 0;
      if (errno != EINTR) throw errno_to_net_error(errno, "write");
    }
  }

  void on_readable(std::function<void()> then) override {
    notify(Socket::wait_read, std::move(then));
  }
  void on_writable(std::function<void()> then) override {
    notify(Socket::wait_write, std::move(then));
  }

  void end_now() override {
    boost::system::error_code ignored;  // already gone is as good as ended
    socket_.shutdown(Socket::shutdown_send, ignored);
  }

  Task<void> shutdown() override {
    end_now();
    co_return;
  }

  void close() override {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

  std::string peer_address() const override { return peer_; }
  std::string local_address() const override { return local_; }
  int native_handle() const override { return const_cast<Socket&>(socket_).native_handle(); }
  Fd release() override { return Fd(socket_.release()); }

  void set_options(const TcpOptions& options) override {
    if (local_.empty()) return;  // not TCP
    const int fd = socket_.native_handle();
    if (!options.congestion.empty()) {
      ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, options.congestion.data(),
                   static_cast<socklen_t>(options.congestion.size()));
    }
    if (options.not_sent_low_water > 0) {
      ::setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &options.not_sent_low_water,
                   sizeof options.not_sent_low_water);
    }
  }

 private:
  Task<void> wait(Socket::wait_type type, const char* what) {
    boost::system::error_code error;
    co_await socket_.async_wait(type, asio::redirect_error(asio::use_awaitable, error));
    if (error) throw to_net_error(error, what);
  }

  void notify(Socket::wait_type type, std::function<void()> then) {
    if (!socket_.is_open()) {
      asio::post(socket_.get_executor(), std::move(then));
      return;
    }
    socket_.async_wait(type, [then = std::move(then)](boost::system::error_code) { then(); });
  }

  Socket socket_;
  std::string peer_;
  std::string local_;
  std::size_t spent_reading_ = 0;
  std::size_t spent_writing_ = 0;
};

class TcpListener final : public Listener {
 public:
  explicit TcpListener(tcp::acceptor acceptor) : acceptor_(std::move(acceptor)) {
    const auto endpoint = acceptor_.local_endpoint();
    local_ = HostPort{endpoint.address().to_string(), endpoint.port()};
  }

  Task<std::unique_ptr<TcpStream>> accept() override {
    for (;;) {
      boost::system::error_code error;
      tcp::socket socket =
          co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
      if (!error) {
        const auto executor = acceptor_.get_executor();
        try {
          co_return wrap_socket(executor, Fd(socket.release()));
        } catch (const NetError&) {
          continue;  // it went away between accept and the first look at it
        }
      }
      if (!acceptor_.is_open() || error == asio::error::operation_aborted) {
        throw NetError(Errc::cancelled, "accept");
      }
      // Out of descriptors or memory, or that connection was already gone: not our end.
      if (error != asio::error::connection_aborted) co_await sleep_for(milliseconds(50));
    }
  }

  HostPort local_address() const override { return local_; }

  void close() override {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
  }

 private:
  tcp::acceptor acceptor_;
  HostPort local_;
};

Task<std::vector<tcp::endpoint>> resolve(std::string host, std::uint16_t port, std::string share) {
  auto executor = co_await asio::this_coro::executor;
  boost::system::error_code error;
  const auto literal = asio::ip::make_address(host, error);
  std::vector<tcp::endpoint> found;
  if (!error) {
    found.emplace_back(literal, port);
    co_return found;
  }
  if (share.empty()) share = host;
  const auto addresses = co_await NameLookups::of(executor).find(std::move(host), std::move(share));
  for (const std::string& text : addresses) {
    const auto address = asio::ip::make_address(text, error);
    if (!error) found.emplace_back(address, port);
  }
  co_return found;
}

Task<void> connect_one(tcp::socket& socket, tcp::endpoint endpoint) {
  boost::system::error_code error;
  co_await socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
  if (error) throw to_net_error(error, "connect");
}

Task<std::unique_ptr<TcpStream>> connect_any(std::string host, std::uint16_t port,
                                             milliseconds timeout, std::string share) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  auto executor = co_await asio::this_coro::executor;
  const std::vector<tcp::endpoint> endpoints =
      co_await resolve(std::move(host), port, std::move(share));
  NetError last(Errc::unavailable, "no address");
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    tcp::socket socket(executor);
    bool connected = false;
    try {
      // A dead address must not take the time of the ones after it.
      const auto left =
          std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
      const auto turn = left / static_cast<int>(endpoints.size() - i);
      co_await with_deadline(connect_one(socket, endpoints[i]), turn);
      connected = true;
    } catch (const NetError& error) {
      if (error.code() == Errc::cancelled) throw;
      last = error;
    }
    if (connected) co_return wrap_socket(executor, Fd(socket.release()));
  }
  throw last;
}

}  // namespace

std::string HostPort::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

bool is_ip_literal(std::string_view host) {
  const std::string text(host);
  in6_addr buffer{};
  return inet_pton(AF_INET, text.c_str(), &buffer) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &buffer) == 1;
}

Result<HostPort> parse_host_port(std::string_view text) {
  const auto bad = [] { return fail(Errc::malformed, "not of the form host:port"); };
  if (text.size() > 253 + 8) return bad();
  HostPort out;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto end = text.find("]:");
    if (end == std::string_view::npos) return bad();
    out.host = text.substr(1, end - 1);
    port = text.substr(end + 2);
    if (out.host.find(':') == std::string::npos || !is_ip_literal(out.host)) return bad();
  } else {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) return bad();
    out.host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (out.host.empty() || out.host.size() > 253) return bad();
    for (const char c : out.host) {
      const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
      if (!fine) return bad();
    }
  }
  if (port.empty() || port.size() > 5) return bad();
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number > 65535) return bad();
  out.port = static_cast<std::uint16_t>(number);
  return out;
}

std::unique_ptr<TcpStream> wrap_socket(asio::any_io_executor executor, Fd socket) {
  return std::make_unique<SocketStream>(std::move(executor), std::move(socket));
}

StreamPair make_stream_pair(asio::any_io_executor executor) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw errno_to_net_error(errno, "socketpair");
  }
  Fd here(ends[0]);
  Fd there(ends[1]);
  return StreamPair{wrap_socket(std::move(executor), std::move(here)), std::move(there)};
}

Task<std::unique_ptr<TcpStream>> connect_tcp(std::string host, std::uint16_t port,
                                             milliseconds timeout, std::string share) {
  return with_deadline(connect_any(std::move(host), port, timeout, std::move(share)), timeout);
}

Result<std::unique_ptr<Listener>> Listener::bind(asio::any_io_executor executor,
                                                 const HostPort& address, SharePort share) {
  boost::system::error_code error;
  const auto ip = asio::ip::make_address(address.host, error);
  if (error) return fail(Errc::invalid, "listen: not an IP address: " + address.host);
  const tcp::endpoint endpoint(ip, address.port);
  tcp::acceptor acceptor(executor);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && share == SharePort::yes) {
    using reuse_port = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
    acceptor.set_option(reuse_port(true), error);
  }
  if (!error) acceptor.bind(endpoint, error);
  // 4096: a burst of reconnecting clients waits in the kernel instead of being refused.
  if (!error) acceptor.listen(4096, error);
  if (error == asio::error::address_in_use) {
    return fail(Errc::conflict, "listen on " + address.text() + ": address already in use");
  }
  if (error) {
    return fail(Errc::unavailable, "listen on " + address.text() + ": " + error.message());
  }
  return std::unique_ptr<Listener>(std::make_unique<TcpListener>(std::move(acceptor)));
}

}  // namespace rap::net
