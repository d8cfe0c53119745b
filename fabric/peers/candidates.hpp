// Whom a node may have as a peer, and a sample of them that is small, stable while the directory
// changes, and another one for every node.
#pragma once

#include <cstdint>
#include <vector>

#include "fabric/routing/directory.hpp"

namespace rap::peers {

// Both may be dialled and trusted, belong to the same owner or to the platform, and the other one
// serves everybody whom this node serves: else this node would be reachable for some only.
bool may_peer(const routing::Directory& directory, routing::NodeIndex self,
              routing::NodeIndex other);

// Whether a node that dials us is let in at all: trusted, and this node is the platform's or of the
// same owner. An organization's nodes know no other organization's.
bool may_accept(const routing::Directory& directory, routing::NodeIndex self,
                routing::NodeIndex other);

// At most `count` nodes that may be peers: three quarters relays, when there are so many, half of
// everything from the node's own region. Rendezvous hashing over (seed, node id): a node that comes
// or goes changes the sample by itself only, and each seed draws others, so that ten thousand nodes
// do not all know, and dial, the same few.
std::vector<routing::NodeIndex> sample_candidates(const routing::Directory& directory,
                                                  routing::NodeIndex self, std::uint64_t seed,
                                                  std::size_t count);

// A node's number in hashes: the same in every directory.
std::uint64_t stable_hash(const routing::Directory& directory, routing::NodeIndex node,
                          std::uint64_t seed);

}  // namespace rap::peers
