#include "fabric/node/mesh_node.hpp"

#include "base/log.hpp"
#include "base/net/net_error.hpp"
#include "base/net/timer.hpp"
#include "base/secret.hpp"
#include "fabric/names.hpp"
#include "fabric/relay/splice.hpp"
#include "fabric/routing/directory_doc.hpp"

namespace rap::fabric {

using net::NetError;
using net::Task;
using routing::kNoNode;
using routing::NodeIndex;

namespace {

CarryVerifier no_keys(const std::string& cluster_id) {
  return std::move(*CarryVerifier::create(cluster_id, {}));  // without keys nothing can be wrong
}

ServiceEnd::Setup service_setup(const MeshNodeSetup& setup) {
  ServiceEnd::Setup out;
  out.cluster_id = setup.cluster_id;
  out.clock = setup.clock;
  out.resume_clock = setup.resume_clock;
  out.handler = setup.sessions;
  out.limits = setup.limits.services;
  out.resume = setup.limits.resume;
  out.registry = setup.limits.registry;
  return out;
}

}  // namespace

MeshNode::MeshNode(net::asio::any_io_executor executor, MeshNodeSetup setup)
    : executor_(executor),
      setup_(std::move(setup)),
      peers_(setup_.seed),
      caches_(setup_.caches, setup_.cluster_id, setup_.node_id, setup_.clock->now()),
      carry_(no_keys(setup_.cluster_id)),
      services_(executor, service_setup(setup_)),
      server_(*this, setup_.limits.streams),
      hub_(executor, *setup_.clock, hub_events(), setup_.limits.channels),
      traffic_(setup_.limits.traffic),
      people_(setup_.limits.people),
      tasks_(executor) {}

MeshNode::~MeshNode() {
  for (const auto& [number, client] : clients_) {
    if (const auto connection = client.lock()) connection->close();
  }
}

routing::Moment MeshNode::now() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return {std::chrono::duration_cast<routing::MonoTime>(since), setup_.clock->now()};
}

// ---- what it is given ----

Status MeshNode::set_identity(const net::TlsIdentity& identity, const std::string& cluster_ca_pem) {
  net::TlsServerOptions options{identity, net::RequireCa{cluster_ca_pem}, mesh_alpns()};
  auto nodes = net::TlsServerContext::create(options);
  wipe(options.identity.key_pem);
  if (!nodes) return fail(nodes.error(), "mesh identity");
  Status done = hub_.set_identity(identity, cluster_ca_pem);
  if (!done) return done;
  nodes_port_ = std::move(*nodes);
  make_port();
  return {};
}

void MeshNode::clear_identity() {
  nodes_port_.reset();
  make_port();
  hub_.clear_identity();
}

Status MeshNode::set_entry(const net::TlsIdentity& identity) {
  net::TlsServerOptions options{identity, net::AnyClientCertificate{}, {"h2"}};
  auto people = net::TlsServerContext::create(options);
  wipe(options.identity.key_pem);
  if (!people) return fail(people.error(), "entry identity");
  people_port_ = std::move(*people);
  make_port();
  return {};
}

void MeshNode::clear_entry() {
  people_port_.reset();
  make_port();
}

// One port: nodes and people say by ALPN who they are, and are shown different certificates.
void MeshNode::make_port() {
  port_.clear();
  if (!nodes_port_) return;
  port_.push_back(*nodes_port_);
  if (people_port_) port_.push_back(*people_port_);
}

void MeshNode::say_goodbye_to_people() {
  for (const auto& [number, client] : clients_) {
    if (const auto connection = client.lock()) connection->drain();
  }
}

void MeshNode::cut_people() {
  for (const auto& [number, client] : std::map(clients_)) {
    if (const auto connection = client.lock()) connection->close();
  }
}

void MeshNode::cut_relayed() {
  std::vector<std::shared_ptr<Splice>> all;
  for (const auto& [number, passed] : passing_) {
    if (passed.relayed) all.push_back(passed.splice);
  }
  for (const auto& splice : all) splice->cut();
}

Status MeshNode::set_lease_keys(const std::vector<LeaseKey>& keys) {
  auto carry = CarryVerifier::create(setup_.cluster_id, keys);
  if (!carry) return fail(carry.error());
  Status done = services_.set_lease_keys(keys);
  if (done) carry_ = std::move(*carry);
  return done;
}

Result<routing::Directory> MeshNode::read_directory(std::string_view text) {
  auto doc = routing::parse_directory(text);
  if (!doc) return fail(doc.error());
  return routing::Directory::compile(std::move(*doc));
}

Status MeshNode::set_directory(std::string_view text) {
  auto read = read_directory(text);
  if (!read) return fail(read.error());
  return set_directory(std::move(*read));
}

Status MeshNode::set_directory(routing::Directory directory) {
  if (directory.cluster_id() != setup_.cluster_id ||
      directory.id(directory.self()) != setup_.node_id) {
    return fail(Errc::mismatch, "the directory is for another cluster or node");
  }
  if (directory_ != nullptr && directory.version() < directory_->version()) {
    return fail(Errc::rollback, "the directory is older than the one in force");
  }
  const auto before =
      std::exchange(directory_, std::make_shared<const routing::Directory>(std::move(directory)));
  set_limits(before.get());
  if (before != nullptr) measurements_ = measurements_.rebound(*before, *directory_);
  std::vector<peers::Action> actions;
  peers_.directory_changed(before.get(), *directory_, directory_->self(), now(), actions);
  if (before == nullptr) peers_.remember(*directory_, caches_.remembered);
  // Cuts those that are gone; what it says of them finds them in no index any more.
  hub_.set_directory(directory_);
  act(actions);
  return {};
}

void MeshNode::set_limits(const routing::Directory* before) {
  const auto now = std::chrono::steady_clock::now();
  if (before != nullptr) {
    for (const auto& rule : before->policy().organizations) {
      traffic_.set_limits(rule.organization_id, setup_.limits.traffic, now);
    }
  }
  for (const auto& rule : directory_->policy().organizations) {
    TrafficLimits limits = setup_.limits.traffic;
    if (rule.streams_max != 0) limits.streams_max = rule.streams_max;
    if (rule.kbytes_per_s != 0) limits.bytes_per_s = std::uint64_t{rule.kbytes_per_s} * 1'000;
    traffic_.set_limits(rule.organization_id, limits, now);
  }
}

// ---- neighbours ----

HubEvents MeshNode::hub_events() {
  HubEvents out;
  out.admit = [this](const std::string& node) {
    if (directory_ == nullptr || draining_) return false;
    const NodeIndex index = directory_->find(node);
    if (index == kNoNode) return false;
    const auto verdict = peers_.admit(*directory_, index);
    return verdict == peers::Admission::peer || verdict == peers::Admission::leaf;
  };
  out.up = [this](const std::string& node, DialledBy by) { link_up(node, by); };
  out.down = [this](const std::string& node, LinkLost why) { link_down(node, why); };
  out.round_trip = [this](const std::string& node, float milliseconds) {
    const NodeIndex index = directory_->find(node);
    if (index == kNoNode) return;
    measurements_.ping(index, milliseconds, now().mono, directory_->policy().decay);
  };
  out.stream = [this](const std::string& node, routing::ChannelClass,
                      std::unique_ptr<IncomingConnect> incoming) {
    return server_.serve_node(std::move(incoming), node);
  };
  return out;
}

void MeshNode::link_up(const std::string& node, DialledBy by) {
  const NodeIndex index = directory_->find(node);
  if (index == kNoNode) return;
  const auto mono = now().mono;
  measurements_.link_up(index, mono);
  peers_.link_up(*directory_, index,
                 by == DialledBy::us ? peers::Direction::outbound : peers::Direction::inbound,
                 mono);
}

void MeshNode::link_down(const std::string& node, LinkLost why) {
  const NodeIndex index = directory_->find(node);
  if (index == kNoNode) return;
  using Cause = routing::Measurements::DownCause;
  using PeerCause = peers::PeerSet::DownCause;
  const auto mono = now().mono;
  measurements_.link_down(index, why == LinkLost::lost ? Cause::lost : Cause::graceful, mono,
                          directory_->policy().decay);
  PeerCause cause = PeerCause::lost;
  if (why == LinkLost::graceful) cause = PeerCause::graceful;
  if (why == LinkLost::dropped || why == LinkLost::revoked) cause = PeerCause::dropped_by_us;
  peers_.link_down(*directory_, index, cause, mono);
}

void MeshNode::start() {
  tasks_.spawn("mesh peers", keep_peers());
}

Task<void> MeshNode::keep_peers() {
  auto saved = std::chrono::steady_clock::now();
  for (;;) {
    std::vector<peers::Action> actions;
    // Without a certificate nobody can be dialled: that is no failure of theirs.
    if (nodes_port_) peers_.tick(*directory_, measurements_, now(), actions);
    act(actions);
    if (std::chrono::steady_clock::now() - saved > setup_.limits.save_every) {
      saved = std::chrono::steady_clock::now();
      caches_.save(peers_.remembered(*directory_));
    }
    co_await net::sleep_for(setup_.limits.tick);
  }
}

void MeshNode::act(const std::vector<peers::Action>& actions) {
  for (const peers::Action& action : actions) {
    std::string node(directory_->id(action.node));
    if (action.kind == peers::ActionKind::drop) hub_.drain(node);
    if (action.kind == peers::ActionKind::dial) tasks_.spawn("dial a peer", dial(std::move(node)));
  }
}

Task<void> MeshNode::dial(std::string node) {
  const Status dialled = co_await hub_.dial(node);
  if (dialled) co_return;  // link_up() said the rest
  const NodeIndex index = directory_->find(node);
  if (index == kNoNode) co_return;
  const auto mono = now().mono;
  const bool full = dialled.error().code == Errc::exhausted;
  if (!full) measurements_.dial_failed(index, mono, directory_->policy().decay);
  peers_.dial_failed(
      index, full ? peers::PeerSet::DialError::full : peers::PeerSet::DialError::failed, mono);
  log::debug("mesh: a peer was not reached", {{"node", node}, {"error", dialled.error().text()}});
}

Task<ConnectAnswer> MeshNode::open(std::string node, ConnectRequest request,
                                   routing::ChannelClass channel_class) {
  auto answer = co_await hub_.open(std::move(node), channel_class, std::move(request));
  if (!answer) throw NetError(answer.error());
  co_return std::move(*answer);
}

Task<void> MeshNode::splice(std::unique_ptr<H2Stream> from, std::unique_ptr<H2Stream> to,
                            Passing as) {
  SpliceOptions options;
  options.slot = traffic_.open(as.organization, std::chrono::steady_clock::now());
  if (!options.slot) throw NetError(Errc::exhausted, "too many streams of this organization");
  const auto over = std::make_shared<net::Event>(executor_);
  options.done = [over](const SpliceEnd&) { over->set(); };
  struct Cut {
    MeshNode& self;
    std::shared_ptr<Splice> splice;
    std::uint64_t number;
    ~Cut() {
      splice->cut();
      const SpliceEnd end = splice->counts();
      self.carried_ += end.up + end.down;
      self.passing_.erase(number);
    }
  } cut{*this, splice_streams(executor_, std::move(from), std::move(to), std::move(options)),
        next_passing_++};
  passing_.emplace(cut.number, Passed{cut.splice, as.relayed});
  co_await over->wait();
}

// ---- the port ----

Task<void> MeshNode::accept(std::unique_ptr<net::TcpStream> socket) {
  auto slot = people_.take(*socket);
  if (!slot || port_.empty() || draining_) {
    count(slot ? "not-ready" : "full");
    socket->close();
    co_return;
  }
  net::TcpOptions tcp;
  tcp.not_sent_low_water = kNotSentLowWater;
  socket->set_options(tcp);
  std::unique_ptr<net::TlsStream> secured;
  try {
    secured = co_await net::accept_tls(std::move(socket), port_, setup_.limits.handshake);
  } catch (const NetError& error) {
    if (error.code() == Errc::cancelled) throw;
    count("tls");
  }
  if (!secured) co_return;
  slot->established();
  if (!kind_of_alpn(secured->alpn())) {
    co_return co_await serve_people(std::move(secured), std::move(slot));
  }
  // A peer: its connections are counted by the hub, and it needs no place among people.
  slot.reset();
  const Status taken = hub_.take(std::move(secured));
  if (!taken) log::info("mesh: a peer is not let in", {{"error", taken.error().text()}});
}

Task<void> MeshNode::serve_people(std::unique_ptr<net::TlsStream> secured,
                                  std::unique_ptr<net::ConnectionSlots::Slot> slot) {
  const Sha256Digest certificate = secured->peer_certificate()->sha256;
  ConnectHandler handler = [this, certificate](std::unique_ptr<IncomingConnect> incoming) {
    return server_.serve_client(std::move(incoming), certificate);
  };
  auto connection =
      H2Connection::make_server(executor_, std::move(secured), H2Limits(), std::move(handler));
  const auto number = next_client_++;
  clients_.emplace(number, connection);
  struct Registration {
    MeshNode& self;
    std::uint64_t number;
    H2Connection& connection;
    std::unique_ptr<net::ConnectionSlots::Slot> slot;
    ~Registration() {
      self.clients_.erase(number);
      connection.close();
    }
  } registration{*this, number, *connection, std::move(slot)};
  connection->start();
  co_await connection->ended();
}

// ---- facts, end ----

MeshNodeFacts MeshNode::facts() const {
  MeshNodeFacts out;
  out.health = peers_.health();
  out.directory_version = directory_ == nullptr ? 0 : directory_->version();
  out.links = hub_.links();
  out.peers = peers_.active() + peers_.leaves().size();
  out.clients = clients_.size();
  out.carried = carried_;
  for (const auto& [number, passed] : passing_) {
    const SpliceEnd so_far = passed.splice->counts();
    out.carried += so_far.up + so_far.down;
  }
  out.streams = server_.counts();
  out.services = services_.counts();
  out.refused = refused_;
  for (const auto& [reason, count] : hub_.refusals()) out.refused[reason] += count;
  return out;
}

Task<void> MeshNode::drain(net::milliseconds grace) {
  draining_ = true;
  if (directory_ != nullptr) caches_.save(peers_.remembered(*directory_));
  say_goodbye_to_people();
  // At once: those that carry streams here look for other ways while the streams go on.
  net::TaskGroup links(executor_);
  links.spawn("goodbye to peers", hub_.drain_all(grace));
  co_await services_.drain(grace);
  co_await links.drain(grace);
  cut_people();
  co_await tasks_.drain(net::milliseconds(0));
}

}  // namespace rap::fabric
