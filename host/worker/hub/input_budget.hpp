// How much one client may send: beyond it nothing is read from its stream for a while, so that the
// client waits and nothing is lost. Pure: the time comes from the caller.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace rap::worker {

// Ten times what a mouse at 1,000 Hz sends. Each frame is a call into the plugin: 10,000 of them
// keep a core busy to some per cent.
inline constexpr double kInputFramesPerSecond = 10'000;
// An upload over a line of 100 Mbit/s; a target behind a slower one pushes back by itself.
inline constexpr double kInputBytesPerSecond = 16.0 * (1 << 20);
// A pause in between is made up for, for so long.
inline constexpr double kInputBurstSeconds = 1;

class InputBudget {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit InputBudget(Time now) : at_(now) {}

  // One frame was read. How long to read nothing more; zero: go on.
  std::chrono::milliseconds spend(std::size_t bytes, Time now) {
    const double passed = std::chrono::duration<double>(now - at_).count();
    at_ = now;
    frames_ = std::max(0.0, frames_ - passed * kInputFramesPerSecond) + 1;
    bytes_ = std::max(0.0, bytes_ - passed * kInputBytesPerSecond) + static_cast<double>(bytes);
    const double owed_s = std::max(frames_ / kInputFramesPerSecond, bytes_ / kInputBytesPerSecond) -
                          kInputBurstSeconds;
    if (owed_s <= 0) return std::chrono::milliseconds(0);
    // Some milliseconds at once: a timer for each frame would cost more than the frame.
    return std::max(std::chrono::milliseconds(10), std::chrono::ceil<std::chrono::milliseconds>(
                                                       std::chrono::duration<double>(owed_s)));
  }

 private:
  Time at_;
  double frames_ = 0, bytes_ = 0;  // spent and not yet made up for
};

}  // namespace rap::worker
