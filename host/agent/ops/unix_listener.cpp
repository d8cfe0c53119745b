#include "host/agent/ops/unix_listener.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/net/net_error.hpp"
#include "base/net/timer.hpp"

namespace rap::agent {
namespace {

namespace asio = net::asio;

constexpr std::size_t kAnswerBytesMax = 16u << 20;

Result<sockaddr_un> address_of(const std::filesystem::path& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  if (path.string().size() >= sizeof out.sun_path) {
    return fail(Errc::too_large, path.string() + ": longer than a socket's name may be");
  }
  path.string().copy(out.sun_path, sizeof out.sun_path - 1);
  return out;
}

class UnixListener final : public net::Listener {
 public:
  UnixListener(asio::any_io_executor executor, Fd socket)
      : executor_(executor), socket_(executor, socket.release()) {}

  net::Task<std::unique_ptr<net::TcpStream>> accept() override {
    while (true) {
      boost::system::error_code ec;
      auto token = asio::redirect_error(asio::use_awaitable, ec);
      co_await socket_.async_wait(asio::posix::stream_descriptor::wait_read, token);
      if (ec) throw net::NetError(Errc::cancelled, "listener closed");
      Fd accepted(
          ::accept4(socket_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (accepted) co_return net::wrap_socket(executor_, std::move(accepted));
      if (errno == EMFILE || errno == ENFILE) co_await net::sleep_for(net::milliseconds(200));
    }
  }
  net::HostPort local_address() const override { return {}; }
  void close() override {
    boost::system::error_code ec;
    socket_.close(ec);
  }

 private:
  asio::any_io_executor executor_;
  asio::posix::stream_descriptor socket_;
};

}  // namespace

Result<std::unique_ptr<net::Listener>> listen_unix(asio::any_io_executor executor,
                                                   const std::filesystem::path& path) {
  auto address = address_of(path);
  if (!address) return fail(std::move(address.error()));
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ::unlink(path.c_str());
  const mode_t before = ::umask(0177);
  const int bound = ::bind(socket.get(), reinterpret_cast<sockaddr*>(&*address), sizeof *address);
  ::umask(before);
  if (bound != 0 || ::listen(socket.get(), 16) != 0) {
    return fail(Errc::internal, path.string() + ": " + errno_text(errno));
  }
  return std::unique_ptr<net::Listener>(new UnixListener(executor, std::move(socket)));
}

Result<OpsAnswer> ops_request(const std::filesystem::path& path, std::string_view method,
                              std::string_view target, std::chrono::milliseconds limit) {
  auto address = address_of(path);
  if (!address) return fail(std::move(address.error()));
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval timeout{limit.count() / 1000, limit.count() % 1000 * 1000};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&*address), sizeof *address) != 0) {
    if (errno == EACCES || errno == EPERM) {
      return fail(Errc::forbidden, path.string() + ": " + errno_text(errno));
    }
    return fail(Errc::not_found, "no rap-node-agent is running here (" + path.string() + ")");
  }
  const std::string request = std::string(method) + " " + std::string(target) +
                              " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                              "Content-Length: 0\r\n\r\n";
  if (::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return fail(Errc::unavailable, "the agent does not listen: " + errno_text(errno));
  }
  std::string answer;
  char buffer[16 * 1024];
  while (true) {
    const ssize_t n = ::recv(socket.get(), buffer, sizeof buffer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(Errc::timeout, "the agent does not answer: " + errno_text(errno));
    if (n == 0) break;
    answer.append(buffer, static_cast<std::size_t>(n));
    if (answer.size() > kAnswerBytesMax) return fail(Errc::too_large, "answer of the agent");
  }
  const std::size_t body = answer.find("\r\n\r\n");
  OpsAnswer out;
  if (!answer.starts_with("HTTP/1.1 ") || body == std::string::npos) {
    return fail(Errc::malformed, "answer of the agent");
  }
  std::from_chars(answer.data() + 9, answer.data() + 12, out.status);
  out.body = answer.substr(body + 4);
  return out;
}

}  // namespace rap::agent
