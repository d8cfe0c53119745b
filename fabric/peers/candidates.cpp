#include "fabric/peers/candidates.hpp"

#include <algorithm>
#include <cstring>

#include "fabric/routing/flat_map.hpp"

namespace rap::peers {

using routing::Directory;
using routing::NodeIndex;

namespace {

struct Draw {
  std::uint64_t hash;
  NodeIndex node;
  friend bool operator<(const Draw& a, const Draw& b) { return a.hash < b.hash; }
};

// The lowest hashes of one kind of candidate.
class Bucket {
 public:
  explicit Bucket(std::size_t most) : most_(most) {}

  void offer(const Draw& draw) {
    if (draws_.size() < most_) {
      draws_.push_back(draw);
      std::push_heap(draws_.begin(), draws_.end());
    } else if (most_ > 0 && draw < draws_.front()) {
      std::pop_heap(draws_.begin(), draws_.end());
      draws_.back() = draw;
      std::push_heap(draws_.begin(), draws_.end());
    }
  }
  const std::vector<Draw>& sorted() {
    std::sort_heap(draws_.begin(), draws_.end());
    return draws_;
  }

 private:
  std::size_t most_;
  std::vector<Draw> draws_;
};

}  // namespace

std::uint64_t stable_hash(const Directory& directory, NodeIndex node, std::uint64_t seed) {
  // Of an id's 26 characters the last 16 hold the randomness.
  const std::string_view id = directory.id(node);
  std::uint64_t words[2];
  std::memcpy(words, id.data() + (id.size() - sizeof words), sizeof words);
  return routing::mix64(routing::mix64(words[0] ^ seed) ^ words[1]);
}

bool may_peer(const Directory& directory, NodeIndex self, NodeIndex other) {
  if (self == other || !directory.dialable(other) || directory.draining(other) ||
      directory.trust(other) == routing::Trust::quarantined) {
    return false;
  }
  const auto owner = directory.owner(other);
  if (owner != routing::kPlatform && owner != directory.owner(self)) return false;
  return directory.serves_all_of(other, self);
}

bool may_accept(const Directory& directory, NodeIndex self, NodeIndex other) {
  const auto owner = directory.owner(self);
  return self != other && directory.trust(other) != routing::Trust::quarantined &&
         (owner == routing::kPlatform || owner == directory.owner(other));
}

std::vector<NodeIndex> sample_candidates(const Directory& directory, NodeIndex self,
                                         std::uint64_t seed, std::size_t count) {
  // Each kind draws as many as could be needed when the others are few.
  Bucket near_relays(count), far_relays(count), near_others(count), far_others(count);
  const auto here = directory.region(self);
  for (NodeIndex node = 0; node < directory.size(); ++node) {
    if (!may_peer(directory, self, node)) continue;
    const bool relay = directory.has(node, routing::Role::relay_node);
    const bool near = directory.region(node) == here;
    Bucket& bucket = relay ? (near ? near_relays : far_relays) : (near ? near_others : far_others);
    bucket.offer({stable_hash(directory, node, seed), node});
  }
  std::vector<NodeIndex> out;
  const auto take = [&](Bucket& bucket, std::size_t from, std::size_t most) {
    const auto& draws = bucket.sorted();
    for (std::size_t i = from; i < draws.size() && i < from + most && out.size() < count; ++i) {
      out.push_back(draws[i].node);
    }
  };
  const std::size_t relays = count * 3 / 4;
  const std::size_t others = count - relays;
  take(near_relays, 0, (relays + 1) / 2);
  take(far_relays, 0, relays / 2);
  take(near_others, 0, (others + 1) / 2);
  take(far_others, 0, others / 2);
  // What one kind did not fill, the next ones do.
  for (Bucket* bucket : {&near_relays, &far_relays, &near_others, &far_others}) {
    const auto& draws = bucket->sorted();
    for (const Draw& draw : draws) {
      if (out.size() == count) return out;
      if (std::find(out.begin(), out.end(), draw.node) == out.end()) out.push_back(draw.node);
    }
  }
  return out;
}

}  // namespace rap::peers
