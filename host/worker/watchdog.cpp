#include "host/worker/watchdog.hpp"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "base/file.hpp"
#include "base/log.hpp"

namespace rap::worker {
namespace {

constexpr std::uint64_t kWarnNs = 50'000'000;
constexpr std::uint64_t kHungNs = 5'000'000'000;
constexpr std::uint64_t kLookEveryNs = 1'000'000'000;  // few enough to cost a busy session nothing
// A thread that sleeps is woken for a look within a millisecond; one that waits for a core is late.
constexpr std::uint64_t kOnTimeNs = 20'000'000;
// For one that does nothing on a machine where every look is late. Looks, not seconds: a process
// that was stopped has had one look, however long that took.
constexpr int kLooksMax = 60;

// The only way from a signal handler to its object.
std::atomic<Watchdog*> the_watchdog{nullptr};

std::uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// Async-signal-safe, as all below are: getrusage is a plain system call.
void put(const char* text) {
  (void)!write(STDERR_FILENO, text, std::strlen(text));
}

}  // namespace

Watchdog::Watchdog() {
  struct sigaction action {};
  action.sa_handler = &Watchdog::on_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
  sigevent event{};
  // This thread and no other, whose times are looked at: a plugin may have some of its own.
  event.sigev_notify = SIGEV_THREAD_ID;
  event._sigev_un._tid = static_cast<pid_t>(::syscall(SYS_gettid));
  event.sigev_signo = SIGALRM;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0) {
    throw std::runtime_error("watchdog: " + errno_text(errno));
  }
  the_watchdog = this;
}

Watchdog::~Watchdog() {
  the_watchdog = nullptr;
  timer_delete(timer_);
}

void Watchdog::arm() {
  itimerspec spec{};
  spec.it_value.tv_sec = kLookEveryNs / 1'000'000'000;
  spec.it_value.tv_nsec = kLookEveryNs % 1'000'000'000;
  timer_settime(timer_, 0, &spec, nullptr);
}

void Watchdog::on_signal(int) {
  const int saved = errno;
  if (Watchdog* self = the_watchdog) self->look();
  errno = saved;
}

void Watchdog::look() {
  const std::uint64_t since = since_ns_;
  if (since == 0) {
    armed_ = false;  // the next call arms it
    return;
  }
  rusage used{};
  getrusage(RUSAGE_THREAD, &used);
  const auto ns = [](const timeval& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(time.tv_usec) * 1'000;
  };
  const Sight before = std::exchange(
      sight_, {since, now_ns(), ns(used.ru_utime) + ns(used.ru_stime), used.ru_nivcsw});
  arm();
  if (before.since != since) {  // the first look at this call
    held_ns_ = 0;
    looks_ = 0;
    return;
  }
  const std::uint64_t interval = sight_.at - before.at;
  const bool had_its_core =
      sight_.preempted == before.preempted && interval < kLookEveryNs + kOnTimeNs;
  held_ns_ += had_its_core ? interval : sight_.cpu - before.cpu;
  if (held_ns_ < kHungNs && ++looks_ < kLooksMax) return;
  put(R"({"level":"error","message":"T3 the plugin hangs, the process ends","call":")");
  put(what_);
  put("\"}\n");
  _exit(kExitHung);
}

Watchdog::Scope::Scope(Watchdog& watchdog, const char* what) : watchdog_(watchdog) {
  watchdog.what_.store(what, std::memory_order_relaxed);
  watchdog.since_ns_.store(now_ns(), std::memory_order_relaxed);
  if (!watchdog.armed_.exchange(true)) watchdog.arm();
}

Watchdog::Scope::~Scope() {
  const std::uint64_t since = watchdog_.since_ns_.exchange(0, std::memory_order_relaxed);
  const std::uint64_t took = now_ns() - since;
  if (took < kWarnNs) return;
  log::warn("T3 a call into the plugin was slow",
            {{"call", watchdog_.what_.load()}, {"took_ms", took / 1'000'000}});
}

}  // namespace rap::worker
