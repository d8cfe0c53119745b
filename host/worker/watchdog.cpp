#include "host/worker/watchdog.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/file.hpp"
#include "base/log.hpp"

namespace rap::worker {
namespace {

constexpr std::uint64_t kWarnNs = 50'000'000;
constexpr std::uint64_t kKillNs = 5'000'000'000;

// The only way from a signal handler to its object.
std::atomic<Watchdog*> the_watchdog{nullptr};

std::uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// Async-signal-safe.
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
  event.sigev_notify = SIGEV_SIGNAL;
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

void Watchdog::arm(std::uint64_t in_ns) {
  itimerspec spec{};
  spec.it_value.tv_sec = static_cast<time_t>(in_ns / 1'000'000'000);
  spec.it_value.tv_nsec = static_cast<long>(in_ns % 1'000'000'000);
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
  const std::uint64_t running = now_ns() - since;
  if (running < kKillNs) return arm(kKillNs - running);
  put(R"({"level":"error","message":"T3 the plugin hangs, the process ends","call":")");
  put(what_);
  put("\"}\n");
  _exit(kExitHung);
}

Watchdog::Scope::Scope(Watchdog& watchdog, const char* what) : watchdog_(watchdog) {
  watchdog.what_.store(what, std::memory_order_relaxed);
  watchdog.since_ns_.store(now_ns(), std::memory_order_relaxed);
  if (!watchdog.armed_.exchange(true)) watchdog.arm(kKillNs);
}

Watchdog::Scope::~Scope() {
  const std::uint64_t since = watchdog_.since_ns_.exchange(0, std::memory_order_relaxed);
  const std::uint64_t took = now_ns() - since;
  if (took < kWarnNs) return;
  log::warn("T3 a call into the plugin was slow",
            {{"call", watchdog_.what_.load()}, {"took_ms", took / 1'000'000}});
}

}  // namespace rap::worker
