// Dialling, accepting, opening streams.
#include "fabric/channel/hub.hpp"

#include "base/net/timer.hpp"
#include "base/secret.hpp"
#include "fabric/channel/hub_impl.hpp"
#include "fabric/names.hpp"

namespace rap::fabric {

namespace {

using net::NetError;
using net::Task;
using routing::ChannelClass;
using SteadyClock = std::chrono::steady_clock;

// Counts up for as long as it lives.
struct Counted {
  std::size_t& count;
  explicit Counted(std::size_t& c) : count(c) { ++count; }
  ~Counted() { --count; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

}  // namespace

ChannelHub::ChannelHub(net::asio::any_io_executor executor, const Clock& clock, HubEvents events,
                       ChannelLimits limits)
    : impl_(std::make_shared<Impl>(std::move(executor), clock, std::move(events), limits)) {}

ChannelHub::~ChannelHub() {
  impl_->closing = true;
  impl_->events = {};
  for (const auto& [number, link] : impl_->links) {
    link->lost = LinkLost::dropped;
    link->connection->close();
  }
  impl_->tasks.cancel();
}

Status ChannelHub::set_identity(const net::TlsIdentity& identity,
                                const std::string& cluster_ca_pem) {
  net::TlsServerOptions options;
  options.identity = identity;
  options.clients = net::RequireCa{cluster_ca_pem};
  options.alpn = mesh_alpns();
  auto server = net::TlsServerContext::create(options);
  wipe(options.identity.key_pem);
  if (!server) return fail(server.error());
  std::map<std::string, net::TlsClientContext> clients;
  for (const std::string& protocol : mesh_alpns()) {
    net::TlsClientOptions dialling;
    dialling.trust = net::TrustCa{cluster_ca_pem};
    dialling.identity = identity;
    dialling.alpn.push_back(protocol);
    auto client = net::TlsClientContext::create(dialling);
    wipe(dialling.identity->key_pem);
    if (!client) return fail(client.error());
    clients.emplace(protocol, std::move(*client));
  }
  impl_->server = std::move(*server);
  impl_->clients = std::move(clients);
  impl_->cluster_ca_pem = cluster_ca_pem;
  ++impl_->generation;
  return {};
}

void ChannelHub::clear_identity() {
  impl_->server.reset();
  impl_->clients.clear();
  std::vector<PeerLinkPtr> all;
  for (const auto& [number, link] : impl_->links) all.push_back(link);
  for (const PeerLinkPtr& link : all) {
    // One that is just being made would be there afterwards.
    if (link->state == LinkState::authorize) impl_->cut(*link, LinkLost::dropped, "cut");
    impl_->drain(*link);
  }
}

void ChannelHub::set_directory(std::shared_ptr<const routing::Directory> directory) {
  impl_->directory = std::move(directory);
  std::vector<PeerLinkPtr> all;
  for (const auto& [number, link] : impl_->links) all.push_back(link);
  for (const PeerLinkPtr& link : all) {
    if (impl_->directory->check_peer(link->spiffe_id, link->key)) continue;
    impl_->cut(*link, LinkLost::revoked, "revoked");
  }
}

Task<Result<std::unique_ptr<net::TlsStream>>> ChannelHub::Impl::connect(std::string node_id,
                                                                        LinkKind kind) {
  using Answer = Result<std::unique_ptr<net::TlsStream>>;
  if (!server || !directory) co_return Answer(fail(Errc::unavailable, "not configured yet"));
  const auto known = directory;
  const routing::NodeIndex node = known->find(node_id);
  if (node == routing::kNoNode) co_return Answer(fail(Errc::not_found, "no such peer"));
  if (!known->dialable(node)) co_return Answer(fail(Errc::unavailable, "the peer only dials out"));
  const net::TlsClientContext tls = clients.at(std::string(alpn(kind)));
  const std::string spiffe_id = routing::mesh_spiffe(known->cluster_id(), node_id);
  Error last{Errc::unavailable, "no endpoint"};
  for (const std::string& endpoint : known->endpoints(node)) {
    const auto address = net::parse_host_port(endpoint);
    if (!address) continue;
    try {
      auto tcp = co_await net::connect_tcp(address->host, address->port, limits.handshake / 2);
      net::TcpOptions tcp_options;
      tcp_options.not_sent_low_water = kNotSentLowWater;
      tcp->set_options(tcp_options);
      net::ExpectedPeer peer = net::SpiffeId{spiffe_id};
      auto stream =
          co_await net::connect_tls(std::move(tcp), tls, std::move(peer), limits.handshake / 2);
      co_return Answer(std::move(stream));
    } catch (const NetError& error) {
      if (error.code() == Errc::cancelled) throw;
      last = error.error();
    }
  }
  co_return Answer(fail(last));
}

Task<Status> ChannelHub::Impl::dial_kind(std::string node_id, LinkKind kind) {
  const auto self = shared_from_this();
  const std::string key = node_id + alpn(kind);
  // One at a time for each kind: whoever comes second waits for the first.
  const auto until = SteadyClock::now() + limits.handshake;
  while (dialling.contains(key)) {
    co_await changed.wait_for(net::milliseconds(200));
    if (SteadyClock::now() > until) co_return fail(Errc::timeout, "another dial hangs");
    if (find(node_id, kind, DialledBy::us)) co_return Status();
  }
  struct Dialling {
    Impl& impl;
    const std::string& key;
    ~Dialling() {
      impl.dialling.erase(key);
      impl.changed_now();
    }
  } under_way{*this, key};
  dialling[key] = 1;
  auto stream = co_await connect(node_id, kind);
  if (!stream) co_return fail(stream.error());
  auto link = add(std::move(*stream), kind, DialledBy::us);
  if (!link) co_return fail(link.error());
  const auto connection = (*link)->connection;
  try {
    co_await net::with_deadline(connection->greeted(), limits.handshake);
  } catch (const NetError& error) {
    connection->close();
    if (error.code() == Errc::cancelled) throw;
  }
  if (connection->said_goodbye()) {
    connection->close();
    co_return fail(Errc::exhausted, "the peer has no room");
  }
  if (connection->over()) co_return fail(connection->end_reason());
  activate(**link);
  co_return Status();
}

Task<Status> ChannelHub::dial(std::string node_id) {
  const auto impl = impl_;
  const LinkKind forward{ChannelClass::interactive, Flow::forward};
  if (!impl->find(node_id, forward, DialledBy::us)) {
    Status status = co_await impl->dial_kind(node_id, forward);
    if (!status) co_return status;
  }
  // Nobody can dial this node: what it dials has to serve both ways.
  const bool hidden = impl->directory && !impl->directory->dialable(impl->directory->self());
  const LinkKind reverse{ChannelClass::interactive, Flow::reverse};
  if (hidden && !impl->find(node_id, reverse, DialledBy::us)) {
    co_return co_await impl->dial_kind(node_id, reverse);
  }
  co_return Status();
}

Task<void> ChannelHub::accept(std::unique_ptr<net::TcpStream> socket) {
  const auto impl = impl_;
  if (!impl->server || impl->closing || impl->handshakes >= impl->limits.handshakes_max) {
    impl->count("full");
    co_return;
  }
  net::TcpOptions tcp;
  tcp.not_sent_low_water = kNotSentLowWater;
  socket->set_options(tcp);
  std::unique_ptr<net::TlsStream> stream;
  try {
    Counted counted(impl->handshakes);
    stream = co_await net::accept_tls(std::move(socket), *impl->server, impl->limits.handshake);
  } catch (const NetError& error) {
    if (error.code() == Errc::cancelled) throw;
    const bool certificate = error.code() == Errc::unauthorized || error.code() == Errc::mismatch ||
                             error.code() == Errc::expired;
    impl->count(certificate ? "certificate" : "handshake");
  }
  // The hub itself may be gone by now.
  const auto kind = stream ? kind_of_alpn(stream->alpn()) : std::nullopt;
  if (kind) (void)impl->add(std::move(stream), *kind, DialledBy::them);
}

Status ChannelHub::take(std::unique_ptr<net::TlsStream> stream) {
  const auto kind = kind_of_alpn(stream->alpn());
  if (!kind) return fail(Errc::unsupported, "not a protocol of the mesh");
  const auto link = impl_->add(std::move(stream), *kind, DialledBy::them);
  if (!link) return fail(link.error());
  return {};
}

Task<Status> ChannelHub::Impl::need_link(std::string node_id, ChannelClass channel_class) {
  if (find(node_id, channel_class)) co_return Status();
  const routing::NodeIndex node = directory ? directory->find(node_id) : routing::kNoNode;
  if (node == routing::kNoNode) co_return fail(Errc::not_found, "no such peer");
  if (directory->dialable(node)) {
    const LinkKind kind{channel_class, Flow::forward};
    co_return co_await dial_kind(std::move(node_id), kind);
  }
  const PeerLinkPtr asks = find(node_id, ChannelClass::interactive);
  if (!asks) co_return fail(Errc::unavailable, "the peer has not dialled us");
  ConnectRequest request;
  request.authority = std::string(kAskReverseBulk);
  std::optional<Error> failure;
  try {
    auto answer = asks->connection->connect(std::move(request));
    const ConnectAnswer got = co_await net::with_deadline(std::move(answer), limits.handshake);
    if (!got.stream) failure = Error{Errc::unavailable, "the peer did not dial"};
  } catch (const NetError& error) {
    if (error.code() == Errc::cancelled) throw;
    failure = error.error();
  }
  if (failure) co_return fail(*failure);
  // Its handshake is over on both sides, but our end may still be on its way here.
  for (int left = 20; left > 0 && !find(node_id, channel_class); --left) {
    co_await changed.wait_for(net::milliseconds(50));
  }
  if (find(node_id, channel_class)) co_return Status();
  co_return fail(Errc::unavailable, "the peer's connection did not come");
}

Task<void> ChannelHub::Impl::dial_reverse_bulk(std::string node_id,
                                               std::unique_ptr<IncomingConnect> incoming) {
  const LinkKind kind{ChannelClass::bulk, Flow::reverse};
  Status status;
  if (!find(node_id, kind, DialledBy::us)) status = co_await dial_kind(node_id, kind);
  if (!status) {
    net::HttpHeaders headers;
    headers.set(std::string(kErrorHeader), std::string(name(status.error().code)));
    incoming->refuse(503, headers);
    co_return;
  }
  auto stream = incoming->accept();
  stream->end();
}

Task<Result<ConnectAnswer>> ChannelHub::open(std::string node_id, ChannelClass channel_class,
                                             ConnectRequest request) {
  using Answer = Result<ConnectAnswer>;
  const auto impl = impl_;
  const Status status = co_await impl->need_link(node_id, channel_class);
  if (!status) co_return Answer(fail(status.error()));
  const PeerLinkPtr link = impl->find(node_id, channel_class);
  if (!link) co_return Answer(fail(Errc::unavailable, "the link was lost"));
  std::optional<Error> failure;
  ConnectAnswer answer;
  try {
    answer = co_await link->connection->connect(std::move(request));
  } catch (const NetError& error) {
    if (error.code() == Errc::cancelled && !link->lost && !link->connection->draining()) throw;
    failure = error.error();
  }
  if (failure) co_return Answer(fail(*failure));
  co_return Answer(std::move(answer));
}

Task<void> ChannelHub::Impl::replace(PeerLinkPtr old) {
  const auto self = shared_from_this();
  const Status status = co_await dial_kind(old->node_id, old->kind);
  old->replacing = false;  // tried again with the next tick
  if (status) drain(*old);
}

void ChannelHub::drain(const std::string& node_id) {
  std::vector<PeerLinkPtr> all;
  for (const auto& [number, link] : impl_->links) all.push_back(link);
  for (const PeerLinkPtr& link : all) {
    if (link->node_id == node_id) impl_->drain(*link);
  }
}

Task<void> ChannelHub::drain_all(net::milliseconds grace) {
  const auto impl = impl_;
  impl->closing = true;
  std::vector<PeerLinkPtr> all;
  for (const auto& [number, link] : impl->links) all.push_back(link);
  for (const PeerLinkPtr& link : all) impl->drain(*link);
  const auto until = SteadyClock::now() + grace;
  while (!impl->links.empty() && SteadyClock::now() < until) {
    co_await impl->changed.wait_for(net::milliseconds(20));
  }
  all.clear();
  for (const auto& [number, link] : impl->links) all.push_back(link);
  for (const PeerLinkPtr& link : all) impl->cut(*link, LinkLost::graceful, "cut");
}

bool ChannelHub::connected(const std::string& node_id) const {
  return impl_->connected(node_id);
}

std::vector<LinkFacts> ChannelHub::links() const {
  std::vector<LinkFacts> out;
  for (const auto& [number, link] : impl_->links) {
    LinkFacts& facts = out.emplace_back();
    facts.node_id = link->node_id;
    facts.kind = link->kind;
    facts.by = link->by;
    facts.state = link->state;
    facts.streams = link->connection->streams();
    facts.rtt_ms = link->rtt_ms;
    facts.certificate_until = link->certificate_until;
  }
  return out;
}

const std::map<std::string, std::uint64_t, std::less<>>& ChannelHub::refusals() const {
  return impl_->refusals;
}

}  // namespace rap::fabric
