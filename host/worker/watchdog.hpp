// Rule T3: a call into the plugin returns within 50 ms (else a warning) and 5 s (else the process
// is killed, because a loop that hangs holds every person of the session). The 5 s are those in
// which the thread computed, or slept while it could have had a core: one that waits for its turn
// on a busy machine, or is stopped, does not hang.
#pragma once

#include <signal.h>
#include <time.h>

#include <atomic>
#include <cstdint>

namespace rap::worker {

inline constexpr int kExitHung = 70;  // told to the agent as the exit code

// A timer of the kernel whose signal interrupts the hung thread itself. Not a thread: a session has
// no thread of ours, so it starts no sooner than the plugin's own, costs no stack, and there is no
// lock it could wait for. The timer is armed at most once in 1 s, not once per call. One per
// process, for the thread that makes it.
class Watchdog {
 public:
  // Installs the handler and makes the timer. Timers do not survive fork(): make it in the process
  // that it guards, before stage two.
  Watchdog();
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // While one lives, a call into the plugin is in progress. Do not nest. `what` is static text.
  class Scope {
   public:
    Scope(Watchdog& watchdog, const char* what);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Watchdog& watchdog_;
  };

 private:
  static void on_signal(int);
  void arm();
  void look();

  // What a look saw. Only the handler touches it.
  struct Sight {
    std::uint64_t since = 0;  // which call
    std::uint64_t at = 0;
    std::uint64_t cpu = 0;  // ns, of this thread
    long preempted = 0;     // times
  };

  timer_t timer_{};
  std::atomic<std::uint64_t> since_ns_{0};  // 0: no call in progress
  std::atomic<const char*> what_{""};
  std::atomic<bool> armed_{false};
  Sight sight_;
  std::uint64_t held_ns_ = 0;  // of the call in progress
  int looks_ = 0;
};

}  // namespace rap::worker
