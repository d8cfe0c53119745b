// The two sides of a measurement: who asks for streams, and where they end.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "base/net/task_group.hpp"
#include "base/net/tcp.hpp"
#include "fabric/channel/hub.hpp"
#include "fabric/h2/connection.hpp"
#include "tests/bench/channel_bench.hpp"

namespace rap::bench {

// Four TLS records with the frame's header, as a splice sends them.
inline constexpr std::size_t kPieceBytes = 4 * 16384 - 9;

struct Options {
  std::map<std::string, std::string> values;
  std::string text(const std::string& key, const std::string& otherwise) const {
    const auto at = values.find(key);
    return at == values.end() ? otherwise : at->second;
  }
  long number(const std::string& key, long otherwise) const {
    const auto at = values.find(key);
    return at == values.end() ? otherwise : std::strtol(at->second.c_str(), nullptr, 10);
  }
  std::uint16_t port(const std::string& key) const {
    return static_cast<std::uint16_t>(number(key, 0));
  }
};

// Of plain HTTP/2 with strangers: as long-lived as the peers of a mesh.
fabric::H2Limits lasting_limits();

// Serves `target`: plain sockets, TLS, CONNECT over HTTP/2, or a mesh node (far=). The first byte
// of a stream says what it wants: 'e' echo, 'd' bytes without end, anything else is swallowed.
class Far {
 public:
  Far(net::asio::any_io_executor executor, const Files& files, const Options& options);
  std::uint64_t received() const { return received_; }

 private:
  net::Task<void> accept();
  net::Task<void> connection(std::unique_ptr<net::TcpStream> socket);
  net::Task<void> asked(std::unique_ptr<fabric::IncomingConnect> incoming);
  net::Task<void> stream(net::ByteStreamPtr stream);

  const std::string kind_;
  net::TlsServerContext tls_;
  RealClock clock_;
  std::uint64_t received_ = 0;
  std::unique_ptr<net::Listener> listener_;
  std::unique_ptr<fabric::ChannelHub> hub_;
  net::TaskGroup tasks_;
};

// Asks `port` for streams to `target`: TLS connections, CONNECT over HTTP/2, or as a node of the
// mesh to an end or over a relay (near=tls, h2, end, relay).
class Near {
 public:
  Near(net::asio::any_io_executor executor, const Files& files, const Options& options,
       unsigned number);

  enum class Way { through, direct };  // direct: without what is measured
  net::Task<net::ByteStreamPtr> open(Way way, routing::ChannelClass channel_class);
  // A connection without a stream.
  net::Task<void> connect();

 private:
  net::Task<net::ByteStreamPtr> open_mesh(Way way, routing::ChannelClass channel_class);
  net::Task<std::unique_ptr<net::TlsStream>> dial(std::uint16_t port);
  net::Task<void> connect_h2(std::uint16_t port);

  const net::asio::any_io_executor executor_;
  const std::string kind_;
  const std::uint16_t port_;
  const std::uint16_t target_;
  net::TlsClientContext tls_;
  RealClock clock_;
  std::string lease_;
  std::unique_ptr<fabric::ChannelHub> hub_;
  std::map<std::uint16_t, std::shared_ptr<fabric::H2Connection>> connections_;  // by port
};

}  // namespace rap::bench
