// Which peer next, and which one to lose: by score, with chance among near equals, without putting
// all eggs in one region or behind one relay. Inside fabric/peers only.
#pragma once

#include <span>

#include "fabric/peers/peer.hpp"
#include "fabric/routing/score.hpp"

namespace rap::peers {

// What a choice looks at. The referenced objects must outlive it.
struct Selection {
  const routing::Directory& directory;
  const routing::Scorer& scorer;
  const routing::PeerSizes& sizes;
  NodeIndex self;
  std::uint64_t seed;  // of this node: what makes its chance its own
  std::span<const Peer> peers;

  // As a peer: the link, the node, and up to 15 % by chance, so that among near equals each node
  // of a fleet prefers another one.
  float cost(NodeIndex node) const;
  // What the score says, without chance.
  float plain_cost(NodeIndex node) const;

  bool is_relay(const Peer& peer) const;
  // Active or being dialled; draining ones do not count, they are as good as gone.
  std::size_t engaged() const;
  std::size_t active() const;
  std::size_t engaged_relays() const;

  // The best to dial at `now`, of those in `state`; nullptr: none. Relays come first while some
  // are missing, then nodes of another region while all are in one: that is the rank.
  struct Pick {
    const Peer* peer = nullptr;
    int rank = 0;
  };
  Pick best(PeerState state, MonoTime now) const;
  // Of the warm ones; a cold one when it ranks higher or no warm one is free.
  const Peer* best_of_all(MonoTime now) const;
  const Peer* best_remembered(MonoTime now) const;
  // Engaged peers, but `without`, are all in one region.
  bool one_region(const Peer* without = nullptr) const;
  // The active peer that costs most and whose loss leaves enough relays and not one region only;
  // nullptr: none. `only_outbound`: those that this node chose.
  enum class Whom { outbound, anybody };
  const Peer* worst(Whom whom) const;
};

}  // namespace rap::peers
