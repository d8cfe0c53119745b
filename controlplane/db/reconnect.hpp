// When a pool may try to connect again: one word for all its connections.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>

namespace rap::cp {

// Any thread. While the server is away, a failed attempt speaks for all connections, so that not
// each request waits for one of its own; the first that succeeds opens the way for all, so that
// nobody is told of an outage that another request has already seen the end of.
class ReconnectGate {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // Longer than a request should wait, far below what a person notices of a server that is back.
  static constexpr auto kPause = std::chrono::milliseconds(250);

  // Given to the end of the attempt that it allowed.
  struct Attempt {
    std::uint64_t successes_before = 0;
  };

  // False: an attempt failed less than kPause ago, do not try.
  bool may_try(Time now, Attempt& attempt) {
    const std::lock_guard lock(mutex_);
    attempt.successes_before = successes_;
    return now >= not_before_;
  }
  void succeeded() {
    const std::lock_guard lock(mutex_);
    ++successes_;
    not_before_ = {};
  }
  // Of two attempts at the moment of its return one may fail after the other succeeded: the failure
  // is the older news.
  void failed(Time now, const Attempt& attempt) {
    const std::lock_guard lock(mutex_);
    if (attempt.successes_before == successes_) not_before_ = now + kPause;
  }

 private:
  std::mutex mutex_;
  Time not_before_{};            // guarded by mutex_
  std::uint64_t successes_ = 0;  // guarded by mutex_
};

}  // namespace rap::cp
