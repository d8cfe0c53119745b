// How long to wait before trying again: doubling, with jitter so that many nodes do not knock at
// the same moment.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace rap::agent {

class Backoff {
 public:
  using Millis = std::chrono::milliseconds;

  Backoff(Millis first, Millis most) : first_(first), most_(most) {}

  // The next wait, between half of the step and the whole. `random` is any random number.
  Millis next(std::uint64_t random) {
    const Millis step = std::min(most_, first_ * (std::int64_t{1} << std::min(failures_, 20)));
    ++failures_;
    const auto half = step / 2;
    return half + Millis(static_cast<std::int64_t>(random % (half.count() + 1)));
  }
  void reset() { failures_ = 0; }
  int failures() const { return failures_; }

 private:
  Millis first_;
  Millis most_;
  int failures_ = 0;
};

}  // namespace rap::agent
