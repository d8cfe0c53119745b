// How fast bytes may go. Pure: whoever asks says when it is.
#pragma once

#include <chrono>
#include <cstdint>

namespace rap::fabric {

class TokenBucket {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // 0 bytes per second: no limit. `burst` may go at once after a pause.
  TokenBucket(std::uint64_t bytes_per_s, std::uint64_t burst, TimePoint now);

  // Takes `bytes`, also when they are not there, and says how long whoever sent them must pause: 0
  // when they were. The debt of one caller delays the next one.
  std::chrono::nanoseconds charge(std::uint64_t bytes, TimePoint now);

 private:
  double rate_;
  double burst_;
  double tokens_;
  TimePoint at_;
};

}  // namespace rap::fabric
