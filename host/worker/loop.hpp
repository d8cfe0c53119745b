// The one loop of a worker process: descriptors, timers, tasks. Small, because a zygote forks with
// it in memory and because it is what rap.host.loop/1 is made of.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/file.hpp"
#include "base/result.hpp"

namespace rap::worker {

inline constexpr std::uint32_t kRead = 1;
inline constexpr std::uint32_t kWrite = 2;
inline constexpr std::uint32_t kError = 4;

// Everything but post(), stop() and on_loop() belongs to the thread that made it. A callback may
// call anything here, also remove itself.
class Loop {
 public:
  using Task = std::function<void()>;
  using Ready = std::function<void(std::uint32_t events)>;
  using Clock = std::chrono::steady_clock;

  Loop();
  // Only closes descriptors, so that a forked child may drop the copy it got.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Until stop(). Callbacks that throw end the process: there is nobody to tell.
  void run();
  // Any thread. run() returns before another callback starts.
  void stop();

  // Any thread, in order. Runs from run(), never inside post().
  void post(Task task);

  // Never 0. `every` zero: once.
  std::uint64_t timer(std::chrono::milliseconds first, std::chrono::milliseconds every, Task task);
  // False: it ended already, or never was.
  bool cancel(std::uint64_t id);

  // Level-triggered. Watching again replaces events and callback. kError is always reported.
  Status watch(int fd, std::uint32_t events, Ready ready);
  // Before the descriptor is closed. False: it was not watched.
  bool unwatch(int fd);

  bool on_loop() const { return std::this_thread::get_id() == thread_; }

 private:
  struct Watch {
    std::uint32_t generation = 0;
    std::uint32_t events = 0;
    std::shared_ptr<Ready> ready;  // also held by a dispatch in progress
  };
  struct Timer {
    std::chrono::milliseconds every;
    std::shared_ptr<Task> task;  // also held by a run in progress
  };
  using Key = std::pair<Clock::time_point, std::uint64_t>;

  int wait_ms() const;
  void dispatch(std::uint64_t tag, std::uint32_t events);
  void run_posted();
  void run_timers();

  std::thread::id thread_;
  Fd epoll_;
  Fd wake_;
  std::atomic<bool> stopped_{false};

  std::mutex mutex_;
  std::vector<Task> posted_;  // guarded by mutex_

  std::unordered_map<int, Watch> watches_;
  std::uint32_t next_generation_ = 1;
  std::map<Key, Timer> timers_;
  std::unordered_map<std::uint64_t, Clock::time_point> timer_keys_;
  std::uint64_t next_timer_ = 1;
};

}  // namespace rap::worker
