#include "fabric/peers/selection.hpp"

#include <algorithm>

#include "fabric/peers/candidates.hpp"

namespace rap::peers {

namespace {

constexpr float kChance = 0.15F;

bool engaged_state(const Peer& peer) {
  return peer.state == PeerState::active || peer.state == PeerState::dialling;
}

}  // namespace

std::string_view name(PeerState state) {
  constexpr std::string_view kNames[] = {"cold", "warm", "dialling", "active"};
  return kNames[static_cast<std::size_t>(state)];
}

float Selection::plain_cost(NodeIndex node) const {
  return scorer.link_cost(self, node) + scorer.relay_cost(node);
}

float Selection::cost(NodeIndex node) const {
  const std::uint64_t hash = stable_hash(directory, node, seed);
  const float chance = static_cast<float>(hash >> 40) / static_cast<float>(1u << 24);
  return plain_cost(node) * (1 + kChance * chance);
}

bool Selection::is_relay(const Peer& peer) const {
  return directory.has(peer.node, routing::Role::relay_node);
}

std::size_t Selection::engaged() const {
  return static_cast<std::size_t>(std::count_if(peers.begin(), peers.end(), [&](const Peer& p) {
    return engaged_state(p) && !directory.draining(p.node);
  }));
}

std::size_t Selection::active() const {
  return static_cast<std::size_t>(std::count_if(
      peers.begin(), peers.end(), [](const Peer& p) { return p.state == PeerState::active; }));
}

std::size_t Selection::engaged_relays() const {
  return static_cast<std::size_t>(std::count_if(peers.begin(), peers.end(), [&](const Peer& p) {
    return engaged_state(p) && is_relay(p) && !directory.draining(p.node);
  }));
}

bool Selection::one_region(const Peer* without) const {
  int region = -1;
  for (const Peer& peer : peers) {
    if (!engaged_state(peer) || &peer == without) continue;
    const int its = directory.region(peer.node);
    if (region != -1 && region != its) return false;
    region = its;
  }
  return region != -1;
}

Selection::Pick Selection::best(PeerState state, MonoTime now) const {
  const bool want_relay = engaged_relays() < sizes.relays;
  // The last place but one decides: afterwards it may be too late for another region. Two peers
  // are too few to spread.
  const bool want_elsewhere = sizes.rest >= 3 && engaged() + 1 >= sizes.rest && one_region();
  int region = -1;
  for (const Peer& peer : peers) {
    if (engaged_state(peer)) region = directory.region(peer.node);
  }
  Pick found;
  float found_cost = 0;
  for (const Peer& peer : peers) {
    if (peer.state != state || now < peer.retry_at) continue;
    const int rank = (want_relay && is_relay(peer) ? 2 : 0) +
                     (want_elsewhere && directory.region(peer.node) != region ? 1 : 0);
    const float its = cost(peer.node);
    if (found.peer == nullptr || rank > found.rank || (rank == found.rank && its < found_cost)) {
      found = {&peer, rank};
      found_cost = its;
    }
  }
  return found;
}

const Peer* Selection::best_of_all(MonoTime now) const {
  const Pick warm = best(PeerState::warm, now);
  const Pick cold = best(PeerState::cold, now);
  return warm.peer == nullptr || (cold.peer != nullptr && cold.rank > warm.rank) ? cold.peer
                                                                                 : warm.peer;
}

const Peer* Selection::best_remembered(MonoTime now) const {
  const Peer* found = nullptr;
  for (const Peer& peer : peers) {
    const bool free = peer.state == PeerState::cold || peer.state == PeerState::warm;
    if (!free || !peer.remembered || now < peer.retry_at) continue;
    if (found == nullptr || cost(peer.node) < cost(found->node)) found = &peer;
  }
  return found;
}

const Peer* Selection::worst(Whom whom) const {
  const std::size_t relays = engaged_relays();
  const Peer* found = nullptr;
  float found_cost = 0;
  for (const Peer& peer : peers) {
    if (peer.state != PeerState::active) continue;
    if (directory.draining(peer.node)) return &peer;
    if (whom == Whom::outbound && peer.direction == Direction::inbound) continue;
    if (is_relay(peer) && relays <= sizes.relays) continue;
    if (sizes.rest >= 3 && !one_region() && one_region(&peer)) continue;
    const float its = cost(peer.node);
    if (found == nullptr || its > found_cost) {
      found = &peer;
      found_cost = its;
    }
  }
  return found;
}

}  // namespace rap::peers
