#include "tests/bench/mesh_sim.hpp"

#include <algorithm>
#include <cmath>

#include "tests/support/mesh_rig.hpp"

namespace rap::bench {

using peers::Action;
using peers::ActionKind;
using peers::Admission;
using peers::Direction;
using peers::Peer;
using peers::PeerState;
using routing::kNoNode;
using routing::Role;

namespace {

constexpr std::int64_t kTickMs = 1'000;
constexpr int kSilentAfterHeartbeats = 2;  // then the control plane calls a node silent

}  // namespace

MeshSim::MeshSim(SimOptions options) : options_(options), random_(options.seed) {
  doc_ = first_doc();
  directory_ = std::make_unique<Directory>(test::compiled(doc_));
  nodes_.reserve(options.nodes);
  for (NodeIndex i = 0; i < options.nodes; ++i) {
    Node& node = nodes_.emplace_back(random_.next());
    node.set.directory_changed(nullptr, *directory_, i, moment(), actions_);
    // A cluster that starts all at once, within one heartbeat.
    at(static_cast<std::int64_t>(random_.share() * static_cast<double>(options.heartbeat_ms)),
       Kind::tick, i);
    at(static_cast<std::int64_t>(random_.share() * static_cast<double>(options.heartbeat_ms)),
       Kind::heartbeat, i);
  }
  at(options.heartbeat_ms, Kind::publish, 0);
}

routing::DirectoryDoc MeshSim::first_doc() {
  std::vector<routing::NodeEntry> nodes;
  for (unsigned i = 0; i < options_.nodes; ++i) {
    const std::string region = "r" + std::to_string(random_.next() % options_.regions);
    if (i < options_.relays) {
      nodes.push_back(test::relay(i, region));
      nodes.back().bootstrap = i < options_.relays / 20;
    } else if (random_.share() < options_.hidden_share) {
      nodes.push_back(test::hidden(i, {}, region));
    } else {
      nodes.push_back(test::node(i, mask(Role::service), region));
    }
    nodes.back().load_permille = static_cast<std::uint16_t>(random_.next() % 700);
  }
  routing::DirectoryDoc doc = test::mesh(std::move(nodes));
  doc.expires_at = doc.issued_at + std::chrono::hours(24);
  return doc;
}

routing::Moment MeshSim::moment() const {
  return test::at(now_);
}

void MeshSim::at(std::int64_t delay, Kind kind, NodeIndex node, NodeIndex peer) {
  events_.push({now_ + delay, order_++, kind, node, peer});
}

float MeshSim::rtt_ms(NodeIndex a, NodeIndex b) const {
  const int n = static_cast<int>(options_.regions);
  const int apart = std::abs(directory_->region(a) - directory_->region(b));
  const std::uint64_t hash = routing::mix64(routing::pair_key(a, b));
  return 2 + static_cast<float>(hash % 1000) / 100 +
         20 * static_cast<float>(std::min(apart, n - apart));
}

bool MeshSim::linked(NodeIndex a, NodeIndex b) const {
  const auto has = [&](NodeIndex x, NodeIndex y) {
    const auto peers = nodes_[x].set.peers();
    const auto leaves = nodes_[x].set.leaves();
    return std::find(leaves.begin(), leaves.end(), y) != leaves.end() ||
           std::any_of(peers.begin(), peers.end(),
                       [&](const Peer& p) { return p.node == y && p.state == PeerState::active; });
  };
  return nodes_[a].alive && nodes_[b].alive && has(a, b) && has(b, a);
}

void MeshSim::disconnect(NodeIndex a, NodeIndex b) {
  for (const auto& [node, other] : {std::pair{a, b}, std::pair{b, a}}) {
    if (!nodes_[node].alive) continue;
    nodes_[node].set.link_down(*directory_, other, PeerSet::DownCause::graceful, MonoTime{now_});
    nodes_[node].measured.link_down(other, routing::Measurements::DownCause::graceful,
                                    MonoTime{now_}, directory_->policy().decay);
  }
}

void MeshSim::tick(NodeIndex node) {
  Node& self = nodes_[node];
  if (!self.alive) return;
  for (const Peer& peer : self.set.peers()) {
    // A ping each second keeps the figure fresh; its value is the simulated one.
    if (peer.state == PeerState::active && nodes_[peer.node].alive) {
      self.measured.ping(peer.node, rtt_ms(node, peer.node), MonoTime{now_},
                         directory_->policy().decay);
    }
  }
  actions_.clear();
  self.set.tick(*directory_, self.measured, moment(), actions_);
  for (const Action& action : actions_) {
    if (action.kind == ActionKind::drop) disconnect(node, action.node);
    if (action.kind != ActionKind::dial) continue;
    ++dials_;
    const std::int64_t two_trips = std::lround(2 * rtt_ms(node, action.node));
    at(nodes_[action.node].alive ? two_trips : kDialTimeoutMs,
       nodes_[action.node].alive ? Kind::dialled : Kind::dial_timeout, node, action.node);
  }
  at(kTickMs, Kind::tick, node);
}

void MeshSim::dialled(NodeIndex node, NodeIndex peer) {
  Node& self = nodes_[node];
  Node& other = nodes_[peer];
  if (!self.alive) return;
  const auto& decay = directory_->policy().decay;
  if (!other.alive) return at(kDialTimeoutMs, Kind::dial_timeout, node, peer);
  if (other.set.admit(*directory_, node) == Admission::full) {
    return self.set.dial_failed(peer, PeerSet::DialError::full, MonoTime{now_});
  }
  other.set.link_up(*directory_, node, Direction::inbound, MonoTime{now_});
  other.measured.link_up(node, MonoTime{now_});
  other.measured.ping(node, rtt_ms(node, peer), MonoTime{now_}, decay);
  self.set.link_up(*directory_, peer, Direction::outbound, MonoTime{now_});
  self.measured.link_up(peer, MonoTime{now_});
  self.measured.ping(peer, rtt_ms(node, peer), MonoTime{now_}, decay);
}

void MeshSim::heartbeat(NodeIndex node) {
  Node& self = nodes_[node];
  if (!self.alive) return;
  self.heard_ms = now_;
  self.said_attached.clear();
  for (const Peer& peer : self.set.peers()) {
    if (peer.state == PeerState::active && is_relay(peer.node) &&
        self.said_attached.size() < routing::kAttachedMax) {
      self.said_attached.push_back(peer.node);
    }
  }
  at(options_.heartbeat_ms, Kind::heartbeat, node);
}

void MeshSim::publish() {
  for (NodeIndex i = 0; i < nodes_.size(); ++i) {
    routing::NodeEntry& entry = doc_.nodes[i];
    entry.attached.clear();
    for (const NodeIndex relay : nodes_[i].said_attached) {
      entry.attached.push_back(doc_.nodes[relay].node_id);
    }
    // What a relay carries makes it busy: the score must not send everybody to one in turn.
    if (is_relay(i)) {
      const std::size_t leaves = nodes_[i].set.leaves().size();
      entry.load_permille =
          static_cast<std::uint16_t>(std::min<std::size_t>(950, 100 + 6 * leaves));
    }
    entry.draining = now_ - nodes_[i].heard_ms > kSilentAfterHeartbeats * options_.heartbeat_ms;
    entry.bootstrap = entry.bootstrap && !entry.draining;
  }
  ++doc_.version;
  doc_.issued_at = moment().wall;
  auto next = std::make_unique<Directory>(test::compiled(doc_));
  for (NodeIndex i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i].alive) continue;
    actions_.clear();
    nodes_[i].set.directory_changed(directory_.get(), *next, i, moment(), actions_);
    const std::vector<Action> drops = actions_;
    for (const Action& action : drops) disconnect(i, action.node);
  }
  directory_ = std::move(next);
  at(options_.heartbeat_ms, Kind::publish, 0);
}

void MeshSim::run_until(std::int64_t ms) {
  while (!events_.empty() && events_.top().at <= ms) {
    const Event event = events_.top();
    events_.pop();
    now_ = event.at;
    switch (event.kind) {
      case Kind::tick:
        tick(event.node);
        break;
      case Kind::heartbeat:
        heartbeat(event.node);
        break;
      case Kind::publish:
        publish();
        break;
      case Kind::dialled:
        dialled(event.node, event.peer);
        break;
      case Kind::dial_timeout:
        if (!nodes_[event.node].alive) break;
        nodes_[event.node].set.dial_failed(event.peer, PeerSet::DialError::failed, MonoTime{now_});
        nodes_[event.node].measured.dial_failed(event.peer, MonoTime{now_},
                                                directory_->policy().decay);
        break;
      case Kind::noticed:
        if (!nodes_[event.node].alive) break;
        nodes_[event.node].set.link_down(*directory_, event.peer, PeerSet::DownCause::lost,
                                         MonoTime{now_});
        nodes_[event.node].measured.link_down(event.peer, routing::Measurements::DownCause::lost,
                                              MonoTime{now_}, directory_->policy().decay);
        break;
    }
  }
  now_ = ms;
}

void MeshSim::kill_relays(unsigned count) {
  while (count > 0) {
    const auto victim = static_cast<NodeIndex>(random_.next() % options_.relays);
    if (!nodes_[victim].alive) continue;
    nodes_[victim].alive = false;
    --count;
    std::vector<NodeIndex> others(nodes_[victim].set.leaves().begin(),
                                  nodes_[victim].set.leaves().end());
    for (const Peer& peer : nodes_[victim].set.peers()) {
      if (peer.state == PeerState::active) others.push_back(peer.node);
    }
    for (const NodeIndex other : others) {
      const auto phase = static_cast<std::int64_t>(random_.share() * static_cast<double>(kPingMs));
      at(phase + kMissedPings * kPingMs, Kind::noticed, other, victim);
    }
  }
}

bool MeshSim::well_connected(NodeIndex node) const {
  const PeerSet& set = nodes_[node].set;
  std::size_t active = 0;
  std::size_t relays = 0;
  for (const Peer& peer : set.peers()) {
    if (peer.state != PeerState::active || !linked(node, peer.node)) continue;
    ++active;
    relays += is_relay(peer.node) ? 1u : 0u;
  }
  return active >= set.sizes().low && relays >= set.sizes().relays;
}

bool MeshSim::works(const routing::Path& path) const {
  for (std::size_t i = 0; i < path.count; ++i) {
    if (!nodes_[path.nodes[i]].alive) return false;
    if (i == 0) continue;
    const NodeIndex a = path.nodes[i - 1];
    const NodeIndex b = path.nodes[i];
    if (!directory_->dialable(b) && !linked(a, b)) return false;
  }
  return path.count > 0;
}

routing::Decision MeshSim::route(NodeIndex from, NodeIndex to,
                                 std::span<routing::Candidate> out) const {
  const std::string target(directory_->id(to));
  routing::Request request;
  request.cluster_id = directory_->cluster_id();
  request.origin = from;
  request.target = target;
  return decide(*directory_, nodes_[from].measured, request, moment(), out);
}

}  // namespace rap::bench
