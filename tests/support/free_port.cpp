#include "tests/support/free_port.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>

namespace rap::test {
namespace {

constexpr int kPortMin = 10'240;  // as devtools/process.py
constexpr int kTries = 1'000;

sockaddr_in loopback(int port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(static_cast<std::uint16_t>(port));
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return out;
}

bool bind_to(const Fd& socket, int port) {
  const sockaddr_in address = loopback(port);
  return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

// Takes the name that stands for the port; it is left to the end of the process.
bool reserve(int port) {
  const std::string name = "rap-test-port-" + std::to_string(port);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  Fd mark(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (::bind(mark.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return false;
  (void)mark.release();
  return true;
}

}  // namespace

std::uint16_t free_port() {
  int low = 32'768;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> low;
  if (low <= kPortMin) low = 65'536;  // connections may have any: then a random one must do
  std::random_device random;
  std::uniform_int_distribution<int> any(kPortMin, low - 1);
  for (int i = 0; i < kTries; ++i) {
    const int port = any(random);
    const Fd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (bind_to(probe, port) && reserve(port)) return static_cast<std::uint16_t>(port);
  }
  throw std::runtime_error("no port is free");
}

ClosedPort::ClosedPort() : bound_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (!bind_to(bound_, 0) ||
      ::getsockname(bound_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("bind");
  }
  number_ = ntohs(address.sin_port);
}

}  // namespace rap::test
