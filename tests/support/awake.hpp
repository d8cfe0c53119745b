// Time in which this process got to run: what a test may put a bound on, for a machine that stands
// still adds nothing to it.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

namespace rap::test {

class Awake {
 public:
  Awake() = default;
  ~Awake() {
    done_ = true;
    ticks_.join();
  }
  std::chrono::milliseconds elapsed() const { return std::chrono::milliseconds(ms_.load()); }

 private:
  void tick() {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::milliseconds kTick{10};
    while (!done_) {
      const auto before = Clock::now();
      std::this_thread::sleep_for(kTick);
      const auto took =
          std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - before);
      ms_ += std::min(took, 5 * kTick).count();
    }
  }

  std::atomic<bool> done_{false};
  std::atomic<std::int64_t> ms_{0};
  std::thread ticks_{[this] { tick(); }};  // after what it uses
};

}  // namespace rap::test
