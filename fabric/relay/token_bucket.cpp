#include "fabric/relay/token_bucket.hpp"

#include <algorithm>

namespace rap::fabric {

TokenBucket::TokenBucket(std::uint64_t bytes_per_s, std::uint64_t burst, TimePoint now)
    : rate_(static_cast<double>(bytes_per_s)),
      burst_(static_cast<double>(burst)),
      tokens_(burst_),
      at_(now) {}

std::chrono::nanoseconds TokenBucket::charge(std::uint64_t bytes, TimePoint now) {
  if (rate_ <= 0) return std::chrono::nanoseconds(0);
  if (now > at_) {
    const std::chrono::duration<double> passed = now - at_;
    tokens_ = std::min(burst_, tokens_ + passed.count() * rate_);
    at_ = now;
  }
  tokens_ -= static_cast<double>(bytes);
  if (tokens_ >= 0) return std::chrono::nanoseconds(0);
  return std::chrono::nanoseconds(static_cast<std::int64_t>(-tokens_ / rate_ * 1e9));
}

}  // namespace rap::fabric
