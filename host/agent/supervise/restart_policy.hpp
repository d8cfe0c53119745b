// When a workload that ended is started again, and when it is left alone. Pure: time and randomness
// come from the caller.
//
//   starting ──ready──► running ──exit──► (wait) ──► starting
//      └──exit──► (wait) ─┘                └─ more than `restarts_max` in the window ─► failed
//   failed ──changed()──► starting
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

#include "host/agent/supervise/backoff.hpp"

namespace rap::agent {

struct RestartLimits {
  int restarts_max = 5;
  std::chrono::seconds window{60};
  std::chrono::milliseconds first_wait{250};  // most crashes are single
  std::chrono::milliseconds most_wait{30'000};
  // Running this long proves the start was good: the next crash starts from `first_wait` again.
  std::chrono::seconds proven{30};
};

class RestartPolicy {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit RestartPolicy(RestartLimits limits)
      : limits_(limits), backoff_(limits.first_wait, limits.most_wait) {}

  void started(Time now) { started_at_ = now; }

  // The process ended, or could not be started. The wait before the next start; nothing: given up.
  std::optional<std::chrono::milliseconds> ended(Time now, std::uint64_t random) {
    if (started_at_ && now - *started_at_ >= limits_.proven) backoff_.reset();
    started_at_.reset();
    while (!ends_.empty() && now - ends_.front() > limits_.window) ends_.pop_front();
    ends_.push_back(now);
    if (static_cast<int>(ends_.size()) > limits_.restarts_max) {
      given_up_ = true;
      return std::nullopt;
    }
    return backoff_.next(random);
  }

  // The assignment or the release is another one now, or a person asked: count from zero.
  void changed() {
    ends_.clear();
    backoff_.reset();
    given_up_ = false;
  }

  bool given_up() const { return given_up_; }
  int recent_ends() const { return static_cast<int>(ends_.size()); }

 private:
  RestartLimits limits_;
  Backoff backoff_;
  std::deque<Time> ends_;
  std::optional<Time> started_at_;
  bool given_up_ = false;
};

}  // namespace rap::agent
