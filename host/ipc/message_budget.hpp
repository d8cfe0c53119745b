// How much one process may send to the agent: beyond it nothing is read from its connection for a
// while, so that it waits, and the others' messages do not. Pure: the time comes from the caller.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace rap::ipc {

// A long message costs the reader as much as several short ones.
inline constexpr std::size_t kBytesPerMessage = std::size_t{4} << 10;

// What a request of ours brings in its train is not the process's doing: its answer, and of an
// attach the events of who came, who was taken over from, the two states, and of the same one
// leaving.
inline constexpr double kMessagesPerRequest = 8;

struct MessageRate {
  double per_second;
  double burst;  // so many at once after a pause
};

class MessageBudget {
 public:
  using Time = std::chrono::steady_clock::time_point;

  MessageBudget(MessageRate rate, Time now) : rate_(rate), at_(now) {}

  // One message was read. How long to read nothing more; zero: go on.
  std::chrono::milliseconds spend(std::size_t bytes, Time now) {
    const double passed = std::chrono::duration<double>(now - at_).count();
    at_ = now;
    spent_ = std::max(0.0, spent_ - passed * rate_.per_second) + 1 +
             static_cast<double>(bytes / kBytesPerMessage);
    if (spent_ <= rate_.burst) return std::chrono::milliseconds(0);
    // Some milliseconds at once: a timer for each message would cost more than the message.
    return std::max(std::chrono::milliseconds(10),
                    std::chrono::ceil<std::chrono::milliseconds>(
                        std::chrono::duration<double>((spent_ - rate_.burst) / rate_.per_second)));
  }

  // A request was sent. It never saves up for more than the burst.
  void earn() { spent_ = std::max(0.0, spent_ - kMessagesPerRequest); }

 private:
  MessageRate rate_;
  Time at_;
  double spent_ = 0;  // and not yet made up for
};

}  // namespace rap::ipc
