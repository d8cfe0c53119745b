#include "host/worker/loop.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>

namespace rap::worker {
namespace {

constexpr std::uint64_t kWakeTag = 0;  // generations begin at 1, so no watch has it

std::uint64_t tag_of(int fd, std::uint32_t generation) {
  return std::uint64_t{generation} << 32 | static_cast<std::uint32_t>(fd);
}

std::uint32_t to_epoll(std::uint32_t events) {
  return ((events & kRead) != 0 ? std::uint32_t{EPOLLIN} : 0u) |
         ((events & kWrite) != 0 ? std::uint32_t{EPOLLOUT} : 0u);
}

// A hang-up is readable too, so that whoever reads sees the end of file.
std::uint32_t from_epoll(std::uint32_t events, std::uint32_t wanted) {
  std::uint32_t out = 0;
  if ((events & (EPOLLIN | EPOLLHUP)) != 0) out |= kRead;
  if ((events & EPOLLOUT) != 0) out |= kWrite;
  out &= wanted;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) out |= kError;
  return out;
}

}  // namespace

Loop::Loop()
    : thread_(std::this_thread::get_id()),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kWakeTag}};
  if (!epoll_ || !wake_ || epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
    throw std::runtime_error("loop: " + errno_text(errno));
  }
}

Loop::~Loop() = default;

void Loop::run() {
  std::array<epoll_event, 32> ready{};
  while (!stopped_) {
    const int count = epoll_wait(epoll_.get(), ready.data(), ready.size(), wait_ms());
    for (int i = 0; i < count && !stopped_; ++i) dispatch(ready[i].data.u64, ready[i].events);
    if (!stopped_) run_timers();
    if (!stopped_) run_posted();
  }
}

void Loop::stop() {
  stopped_ = true;
  const std::uint64_t one = 1;
  (void)!write(wake_.get(), &one, sizeof one);
}

void Loop::post(Task task) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(task));
  }
  if (!first) return;
  const std::uint64_t one = 1;
  (void)!write(wake_.get(), &one, sizeof one);
}

void Loop::run_posted() {
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  for (std::size_t i = 0; i < tasks.size() && !stopped_; ++i) tasks[i]();
}

void Loop::dispatch(std::uint64_t tag, std::uint32_t events) {
  if (tag == kWakeTag) {
    std::uint64_t count = 0;
    (void)!read(wake_.get(), &count, sizeof count);
    return;
  }
  const int fd = static_cast<int>(tag & 0xffffffffu);
  auto at = watches_.find(fd);
  // An earlier callback of this round may have removed it, and the number may be another's now.
  if (at == watches_.end() || at->second.generation != tag >> 32) return;
  const std::uint32_t seen = from_epoll(events, at->second.events);
  if (seen == 0) return;
  const std::shared_ptr<Ready> ready = at->second.ready;
  (*ready)(seen);
}

Status Loop::watch(int fd, std::uint32_t events, Ready ready) {
  auto [at, fresh] = watches_.try_emplace(fd);
  Watch& watch = at->second;
  watch.generation = next_generation_++;
  watch.events = events;
  watch.ready = std::make_shared<Ready>(std::move(ready));
  epoll_event event{.events = to_epoll(events), .data = {.u64 = tag_of(fd, watch.generation)}};
  int done = epoll_ctl(epoll_.get(), fresh ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
  // Closed without unwatch(), and the number used again: epoll forgot it by itself.
  if (done != 0 && !fresh && errno == ENOENT) {
    done = epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }
  if (done == 0) return {};
  const int error = errno;
  watches_.erase(at);
  return fail(Errc::invalid, "watch: " + errno_text(error));
}

bool Loop::unwatch(int fd) {
  if (watches_.erase(fd) == 0) return false;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  return true;
}

std::uint64_t Loop::timer(std::chrono::milliseconds first, std::chrono::milliseconds every,
                          Task task) {
  const std::uint64_t id = next_timer_++;
  const auto at = Clock::now() + first;
  timers_.emplace(Key{at, id}, Timer{every, std::make_shared<Task>(std::move(task))});
  timer_keys_.emplace(id, at);
  return id;
}

bool Loop::cancel(std::uint64_t id) {
  auto at = timer_keys_.find(id);
  if (at == timer_keys_.end()) return false;
  timers_.erase(Key{at->second, id});
  timer_keys_.erase(at);
  return true;
}

int Loop::wait_ms() const {
  if (timers_.empty()) return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first.first - Clock::now());
  // A day: longer waits only mean one more round.
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 86'400'000));
}

void Loop::run_timers() {
  const auto now = Clock::now();
  // Timers made meanwhile with no delay wait for the next round, or a round might never end.
  const std::uint64_t newest = next_timer_;
  while (!stopped_ && !timers_.empty()) {
    auto at = timers_.begin();
    const auto [due, id] = at->first;
    if (due > now || id >= newest) return;
    Timer timer = std::move(at->second);
    timers_.erase(at);
    if (timer.every.count() > 0) {
      // Missed turns are skipped, not caught up; never due again in this round.
      const auto next = std::max(due + timer.every, now + std::chrono::milliseconds(1));
      timers_.emplace(Key{next, id}, timer);
      timer_keys_[id] = next;
    } else {
      timer_keys_.erase(id);
    }
    (*timer.task)();
  }
}

}  // namespace rap::worker
