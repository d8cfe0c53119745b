// Rule T3: a call into the plugin returns within 50 ms (else a warning) and 5 s (else the process
// is killed, because a loop that hangs holds every person of the session).
#pragma once

#include <signal.h>
#include <time.h>

#include <atomic>
#include <cstdint>

namespace rap::worker {

inline constexpr int kExitHung = 70;  // told to the agent as the exit code

// A timer of the kernel whose signal interrupts the hung thread itself. Not a thread: a session has
// no thread of ours, so it starts no sooner than the plugin's own, costs no stack, and there is no
// lock it could wait for. The timer is armed at most once in 5 s, not once per call. One per
// process.
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
  void arm(std::uint64_t in_ns);
  void look();

  timer_t timer_{};
  std::atomic<std::uint64_t> since_ns_{0};  // 0: no call in progress
  std::atomic<const char*> what_{""};
  std::atomic<bool> armed_{false};
};

}  // namespace rap::worker
