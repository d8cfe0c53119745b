// Randomness as a value: a seed goes in, so that a test or a bench sees the same fleet again.
#pragma once

#include <cstdint>

#include "fabric/routing/flat_map.hpp"

namespace rap::peers {

// SplitMix64: for spreading load, never for secrets.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15u;
    return routing::mix64(state_);
  }
  // [0, 1)
  double share() { return static_cast<double>(next() >> 11) / 9007199254740992.0; }

 private:
  std::uint64_t state_;
};

}  // namespace rap::peers
