#include "tests/bench/channel_bench_sides.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "base/net/timer.hpp"
#include "fabric/ends/request.hpp"
#include "fabric/names.hpp"
#include "tests/support/mesh_rig.hpp"

namespace rap::bench {

using fabric::ChannelHub;
using fabric::H2Connection;
using net::ByteStreamPtr;
using net::milliseconds;
using net::Task;

namespace {

constexpr milliseconds kTimeout{20'000};

void prepare(net::TcpStream& socket) {
  net::TcpOptions tcp;
  tcp.not_sent_low_water = fabric::kNotSentLowWater;
  socket.set_options(tcp);
}

std::unique_ptr<ChannelHub> make_hub(net::asio::any_io_executor executor, const Clock& clock,
                                     fabric::HubEvents events, const Files& files, unsigned number,
                                     std::uint16_t middle, std::uint16_t far) {
  auto hub = std::make_unique<ChannelHub>(executor, clock, std::move(events));
  const Status done = hub->set_identity(node_identity(files, number), text_of(files.ca()));
  if (!done) throw std::runtime_error(done.error().text());
  hub->set_directory(
      std::make_shared<const routing::Directory>(directory_of(files, number, middle, far)));
  return hub;
}

Task<void> nobody_asks(std::unique_ptr<fabric::IncomingConnect>) {
  co_return;
}

}  // namespace

fabric::H2Limits lasting_limits() {
  fabric::H2Limits out;
  out.streams_max = 1'000;
  out.idle_timeout = milliseconds(600'000);
  out.stranger_timeout = milliseconds(600'000);
  out.life = fabric::H2Limits::Life::lasting;
  return out;
}

// ---- the far side ----

Far::Far(net::asio::any_io_executor executor, const Files& files, const Options& options)
    : kind_(options.text("far", "plain")),
      tls_(server_context(files, kind_ == "h2" ? "h2" : "")),
      tasks_(executor) {
  const net::HostPort address{"127.0.0.1", options.port("target")};
  listener_ = std::move(net::Listener::bind(executor, address).value());
  if (kind_ == "mesh") {
    fabric::HubEvents events;
    events.stream = [this](const std::string&, routing::ChannelClass,
                           std::unique_ptr<fabric::IncomingConnect> incoming) {
      return asked(std::move(incoming));
    };
    hub_ = make_hub(executor, clock_, std::move(events), files, kFar, options.port("port"),
                    options.port("target"));
  }
  tasks_.spawn("far", accept());
}

Task<void> Far::accept() {
  for (;;) {
    auto socket = co_await listener_->accept();
    if (hub_) {
      tasks_.spawn("far peer", hub_->accept(std::move(socket)));
    } else {
      tasks_.spawn("far connection", connection(std::move(socket)));
    }
  }
}

Task<void> Far::connection(std::unique_ptr<net::TcpStream> socket) {
  prepare(*socket);
  if (kind_ == "plain") co_return co_await stream(std::move(socket));
  auto secured = co_await net::accept_tls(std::move(socket), tls_, kTimeout);
  if (kind_ == "tls") co_return co_await stream(std::move(secured));
  fabric::ConnectHandler handler = [this](std::unique_ptr<fabric::IncomingConnect> incoming) {
    return asked(std::move(incoming));
  };
  auto executor = co_await net::asio::this_coro::executor;
  auto connection =
      H2Connection::make_server(executor, std::move(secured), lasting_limits(), std::move(handler));
  connection->start();
  co_await connection->ended();
}

Task<void> Far::asked(std::unique_ptr<fabric::IncomingConnect> incoming) {
  ByteStreamPtr accepted = incoming->accept();
  incoming.reset();
  co_await stream(std::move(accepted));
}

Task<void> Far::stream(ByteStreamPtr stream) {
  Bytes piece(1);
  if (co_await stream->read_some(piece) == 0) co_return;
  if (piece[0] == 'e') {
    do {
      co_await stream->write_all(piece);
    } while (co_await stream->read_some(piece) != 0);
    co_return;
  }
  const bool sends = piece[0] == 'd';
  ++received_;
  piece.resize(sends ? kPieceBytes : 256 * 1024);
  for (;;) {
    if (sends) {
      co_await stream->write_all(piece);
      continue;
    }
    const std::size_t n = co_await stream->read_some(piece);
    if (n == 0) co_return;
    received_ += n;
  }
}

// ---- the near side ----

Near::Near(net::asio::any_io_executor executor, const Files& files, const Options& options,
           unsigned number)
    : executor_(executor),
      kind_(options.text("near", "tls")),
      port_(options.port("port")),
      target_(options.port("target")),
      tls_(client_context(files, kind_ == "h2" ? "h2" : "")) {
  if (kind_ != "end" && kind_ != "relay") return;
  lease_ = carry_lease(files);
  fabric::HubEvents events;
  events.stream = [](const std::string&, routing::ChannelClass,
                     std::unique_ptr<fabric::IncomingConnect> incoming) {
    return nobody_asks(std::move(incoming));
  };
  hub_ = make_hub(executor, clock_, std::move(events), files, number, port_, target_);
}

Task<ByteStreamPtr> Near::open(Way way, routing::ChannelClass channel_class) {
  if (hub_) co_return co_await open_mesh(way, channel_class);
  const std::uint16_t port = way == Way::through ? port_ : target_;
  if (kind_ == "tls") co_return co_await dial(port);
  if (!connections_[port]) co_await connect_h2(port);
  fabric::ConnectRequest request;
  request.authority = fmt::format("127.0.0.1:{}", target_);
  fabric::ConnectAnswer answer = co_await connections_[port]->connect(std::move(request));
  if (!answer.stream) throw std::runtime_error("refused");
  co_return std::move(answer.stream);
}

Task<ByteStreamPtr> Near::open_mesh(Way way, routing::ChannelClass channel_class) {
  fabric::MeshRequest request;
  request.target = {fabric::MeshTarget::Kind::service, kService};
  request.carry = lease_;
  request.channel_class = channel_class;
  request.path = {test::node_id(kMiddle), test::node_id(kFar)};
  if (way == Way::direct) request.path = {test::node_id(kFar)};
  std::string next = request.path.front();
  auto answer =
      co_await hub_->open(std::move(next), channel_class, fabric::to_connect_request(request));
  if (!answer) throw std::runtime_error(answer.error().text());
  if (!answer->stream) {
    throw std::runtime_error("refused: " + fabric::read_refusal(*answer).error.text());
  }
  co_return std::move(answer->stream);
}

Task<void> Near::connect() {
  if (!hub_) co_return co_await connect_h2(port_);
  const Status done = co_await hub_->dial(test::node_id(kMiddle));
  if (!done) throw std::runtime_error(done.error().text());
}

Task<std::unique_ptr<net::TlsStream>> Near::dial(std::uint16_t port) {
  auto socket = co_await net::connect_tcp("127.0.0.1", port, kTimeout);
  prepare(*socket);
  net::ExpectedPeer peer = net::HostName{"localhost"};
  co_return co_await net::connect_tls(std::move(socket), tls_, std::move(peer), kTimeout);
}

Task<void> Near::connect_h2(std::uint16_t port) {
  auto secured = co_await dial(port);
  auto connection = H2Connection::make_client(executor_, std::move(secured), lasting_limits());
  connection->start();
  co_await connection->greeted();
  connections_[port] = std::move(connection);
}

}  // namespace rap::bench
