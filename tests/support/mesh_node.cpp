#include "tests/support/mesh_node.hpp"

#include <stdexcept>

#include "base/net/timer.hpp"
#include "tests/support/mesh_rig.hpp"

namespace rap::test {

using net::ByteStreamPtr;
using net::NetError;
using net::Task;

namespace {

constexpr net::milliseconds kTimeout{3'000};
constexpr std::size_t kPieceBytes = 64 * 1024;

void keep(const MeshTap& tap, Bytes& into, ByteView bytes) {
  if (tap.keep) into.insert(into.end(), bytes.begin(), bytes.end());
}

class TappedSocket final : public net::ByteStream {
 public:
  TappedSocket(ByteStreamPtr below, std::shared_ptr<MeshTap> tap)
      : below_(std::move(below)), tap_(std::move(tap)) {
    tap_->open.insert(this);
  }
  ~TappedSocket() override { tap_->open.erase(this); }

  Task<std::size_t> read_some(std::span<std::uint8_t> into) override {
    const std::size_t n = co_await below_->read_some(into);
    keep(*tap_, tap_->sockets, into.first(n));
    co_return n;
  }
  Task<void> write_all(ByteView bytes) override {
    keep(*tap_, tap_->sockets, bytes);
    if (!tap_->lose_sent) co_await below_->write_all(bytes);
  }
  Task<void> shutdown() override { return below_->shutdown(); }
  void close() override { below_->close(); }

 private:
  ByteStreamPtr below_;
  std::shared_ptr<MeshTap> tap_;
};

Task<void> copy(std::shared_ptr<net::ByteStream> from, std::shared_ptr<net::ByteStream> to,
                std::shared_ptr<MeshTap> tap) {
  Bytes buffer(kPieceBytes);
  bool ended = false;
  try {
    for (;;) {
      const std::size_t n = co_await from->read_some(buffer);
      if (n == 0) break;
      const ByteView bytes = ByteView(buffer).first(n);
      keep(*tap, tap->streams, bytes);
      co_await to->write_all(bytes);
    }
    co_await to->shutdown();
    ended = true;
  } catch (const NetError&) {
  }
  if (!ended) {
    from->close();
    to->close();
  }
}

fabric::CarryVerifier verifier_for(const fabric::LeaseKey& key) {
  auto out = fabric::CarryVerifier::create(kCluster, {key});
  if (!out) throw std::runtime_error(out.error().text());
  return std::move(*out);
}

net::TlsServerContext server_context(const net::TlsIdentity& identity, net::ClientPolicy clients,
                                     const std::string& alpn) {
  net::TlsServerOptions options;
  options.identity = identity;
  options.clients = std::move(clients);
  options.alpn.push_back(alpn);
  auto out = net::TlsServerContext::create(options);
  if (!out) throw std::runtime_error(out.error().text());
  return std::move(*out);
}

}  // namespace

Task<void> splice_streams(ByteStreamPtr a, ByteStreamPtr b, std::shared_ptr<MeshTap> tap) {
  const std::shared_ptr<net::ByteStream> one = std::move(a);
  const std::shared_ptr<net::ByteStream> other = std::move(b);
  net::TaskGroup tasks(co_await net::asio::this_coro::executor);
  tasks.spawn("splice", copy(other, one, tap));
  co_await copy(one, other, tap);
  co_await tasks.drain(net::milliseconds(3'600'000));
}

MeshNode::MeshNode(boost::asio::io_context& io, MeshNodeSetup setup)
    : io_(io),
      setup_(std::move(setup)),
      verifier_(verifier_for(setup_.lease_key)),
      cache_(kCluster, setup_.node_id),
      server_(*this) {
  if (!setup_.sessions) return;
  fabric::ServiceEnd::Setup end;
  end.cluster_id = kCluster;
  end.clock = setup_.clock;
  end.resume_clock = &resume_clock_;
  end.handler = setup_.sessions;
  end.limits = setup_.services;
  end.resume = setup_.resume;
  services_ = std::make_unique<fabric::ServiceEnd>(io_.get_executor(), std::move(end));
  const Status keys = services_->set_lease_keys({setup_.lease_key});
  if (!keys) throw std::runtime_error(keys.error().text());
}

MeshNode::~MeshNode() {
  kill();
}

void MeshNode::start() {
  tasks_ = std::make_unique<net::TaskGroup>(io_.get_executor());
  const auto listen = [&](net::HostPort& address, Port port) {
    auto bound = net::Listener::bind(io_.get_executor(), address);
    if (!bound) throw std::runtime_error(bound.error().text());
    std::shared_ptr<net::Listener> listener = std::move(*bound);
    address = listener->local_address();
    tasks_->spawn("accept", accept_loop(listener, port));
    return listener;
  };
  mesh_listener_ = listen(setup_.mesh_address, Port::mesh);
  if (!setup_.entry.key_pem.empty()) entry_listener_ = listen(setup_.entry_address, Port::entry);
}

void MeshNode::kill() {
  if (mesh_listener_) mesh_listener_->close();
  if (entry_listener_) entry_listener_->close();
  mesh_listener_.reset();
  entry_listener_.reset();
  const auto open = tap->open;
  for (net::ByteStream* socket : open) socket->close();
  tasks_.reset();
}

void MeshNode::set_directory(routing::Directory directory,
                             std::map<std::string, std::string> addresses) {
  addresses_ = std::move(addresses);
  directory_ = std::make_shared<const routing::Directory>(std::move(directory));
}

fabric::RouteView MeshNode::routes() {
  return {directory_, &measurements_};
}

routing::Moment MeshNode::now() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return {std::chrono::duration_cast<routing::MonoTime>(since), setup_.clock->now()};
}

Task<void> MeshNode::accept_loop(std::shared_ptr<net::Listener> listener, Port port) {
  for (;;) {
    auto socket = co_await listener->accept();
    tasks_->spawn("serve", serve(std::move(socket), port));
  }
}

Task<void> MeshNode::serve(ByteStreamPtr socket, Port port) {
  auto tapped = std::make_unique<TappedSocket>(std::move(socket), tap);
  net::ClientPolicy clients = net::AnyClientCertificate{};
  if (port == Port::mesh) clients = net::RequireCa{setup_.cluster_ca_pem};
  auto context = port == Port::mesh ? server_context(setup_.mesh, std::move(clients), "rap-mesh")
                                    : server_context(setup_.entry, std::move(clients), "h2");
  std::unique_ptr<net::TlsStream> secured;
  try {
    secured = co_await net::accept_tls(std::move(tapped), std::move(context), kTimeout);
  } catch (const NetError&) {
  }
  if (!secured) co_return;
  const net::PeerCertificate peer = *secured->peer_certificate();
  fabric::ConnectHandler handler;
  if (port == Port::entry) {
    handler = [this, peer](std::unique_ptr<fabric::IncomingConnect> incoming) {
      return server_.serve_client(std::move(incoming), peer.sha256);
    };
  } else {
    const auto from = fabric::target_of_spiffe(kCluster, peer.spiffe_uri);
    if (!from) co_return;
    handler = [this, id = from->id](std::unique_ptr<fabric::IncomingConnect> incoming) {
      return server_.serve_node(std::move(incoming), id);
    };
  }
  fabric::H2Limits limits;
  auto connection = fabric::H2Connection::make_server(io_.get_executor(), std::move(secured),
                                                      limits, std::move(handler));
  connection->start();
  co_await connection->ended();
}

Task<fabric::ConnectAnswer> MeshNode::open(std::string node, fabric::ConnectRequest request,
                                           routing::ChannelClass) {
  const auto known = addresses_.find(node);
  if (known == addresses_.end()) throw NetError(Errc::unavailable, "no address");
  const auto address = net::parse_host_port(known->second);
  auto tcp = co_await net::connect_tcp(address->host, address->port, kTimeout);
  auto tapped = std::make_unique<TappedSocket>(std::move(tcp), tap);
  net::TlsClientOptions options;
  options.trust = net::TrustCa{setup_.cluster_ca_pem};
  options.identity = setup_.mesh;
  options.alpn.emplace_back("rap-mesh");
  auto context = net::TlsClientContext::create(options);
  net::ExpectedPeer peer = net::SpiffeId{fabric::mesh_spiffe(kCluster, node)};
  auto secured =
      co_await net::connect_tls(std::move(tapped), std::move(*context), std::move(peer), kTimeout);
  fabric::H2Limits limits;
  auto connection =
      fabric::H2Connection::make_client(io_.get_executor(), std::move(secured), limits);
  connection->start();
  co_return co_await connection->connect(std::move(request));
}

Task<void> MeshNode::splice(std::unique_ptr<fabric::H2Stream> from,
                            std::unique_ptr<fabric::H2Stream> to, fabric::Passing) {
  return splice_streams(std::move(from), std::move(to), tap);
}

}  // namespace rap::test
