// The raw loop that everything is compared with.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <vector>

#include "base/file.hpp"
#include "base/net/openssl_ptr.hpp"
#include "tests/bench/channel_bench.hpp"

namespace rap::bench {

namespace {

void must(bool done, const char* what) {
  if (!done) throw std::runtime_error(what);
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return out;
}

Fd accept_one(std::uint16_t port) {
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = loopback(port);
  must(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
       "bind");
  must(::listen(listener.get(), 1) == 0, "listen");
  Fd out(::accept(listener.get(), nullptr, nullptr));
  must(out.get() >= 0, "accept");
  return out;
}

Fd connect_to(std::uint16_t port) {
  Fd out(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  must(::connect(out.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
       "connect");
  return out;
}

void write_all(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::send(fd, data, size, MSG_NOSIGNAL);
    must(n > 0, "send");
    data += n;
    size -= static_cast<std::size_t>(n);
  }
}

// One TLS record at a time: what `openssl s_client` and every textbook does.
constexpr int kPiece = 16 * 1024;

}  // namespace

void run_raw_loop(const Files& files, Direction direction, std::uint16_t port,
                  std::uint16_t target) {
  const net::SslCtxPtr ctx(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_set_min_proto_version(ctx.get(), TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(ctx.get(), "TLS_AES_128_GCM_SHA256");
  SSL_CTX_set_num_tickets(ctx.get(), 0);
  must(SSL_CTX_use_certificate_chain_file(ctx.get(), files.chain().c_str()) == 1, "chain");
  must(SSL_CTX_use_PrivateKey_file(ctx.get(), files.key().c_str(), SSL_FILETYPE_PEM) == 1, "key");
  must(SSL_CTX_load_verify_locations(ctx.get(), files.ca().c_str(), nullptr) == 1, "ca");
  SSL_CTX_set_verify(ctx.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  const Fd secured = accept_one(port);
  const net::SslPtr ssl(SSL_new(ctx.get()));
  SSL_set_fd(ssl.get(), secured.get());
  must(SSL_accept(ssl.get()) == 1, "handshake");
  const Fd plain = connect_to(target);
  std::vector<char> buffer(kPiece);
  if (direction == Direction::down) {  // one byte says to the target what is wanted
    must(SSL_read(ssl.get(), buffer.data(), 1) == 1, "first byte");
    write_all(plain.get(), buffer.data(), 1);
  }
  for (;;) {
    if (direction == Direction::up) {
      const int n = SSL_read(ssl.get(), buffer.data(), kPiece);
      if (n <= 0) return;
      write_all(plain.get(), buffer.data(), static_cast<std::size_t>(n));
    } else {
      const ssize_t n = ::recv(plain.get(), buffer.data(), kPiece, 0);
      if (n <= 0 || SSL_write(ssl.get(), buffer.data(), static_cast<int>(n)) <= 0) return;
    }
  }
}

}  // namespace rap::bench
