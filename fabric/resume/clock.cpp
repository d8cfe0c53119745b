#include "fabric/resume/clock.hpp"

#include <exception>

#include "base/net/net_error.hpp"
#include "base/net/task_group.hpp"

namespace rap::resume {

TimePoint RealResumeClock::now() const {
  return std::chrono::steady_clock::now();
}

net::Task<void> RealResumeClock::wait(net::Event& event, TimePoint until) const {
  const auto left = std::chrono::ceil<milliseconds>(until - now());
  if (left > milliseconds(0)) co_await event.wait_for(left);
}

namespace {

struct Outcome {
  bool ended = false;
  std::exception_ptr thrown;
};

net::Task<void> run_into(net::Task<void> task, net::Event& wake, Outcome& out) {
  try {
    co_await std::move(task);
  } catch (...) {
    out.thrown = std::current_exception();
  }
  out.ended = true;
  wake.set();
}

}  // namespace

net::Task<bool> run_until(const ResumeClock& clock, net::Event& wake, net::Task<void> task,
                          TimePoint until, const bool* stop) {
  Outcome outcome;
  net::TaskGroup group(co_await net::asio::this_coro::executor);
  wake.reset();
  group.spawn("resume step", run_into(std::move(task), wake, outcome));
  while (!outcome.ended && !(stop != nullptr && *stop) && clock.now() < until) {
    co_await clock.wait(wake, until);
    wake.reset();
  }
  const bool by_itself = outcome.ended;
  co_await group.drain(milliseconds(0));
  if (by_itself && outcome.thrown) std::rethrow_exception(outcome.thrown);
  co_return by_itself;
}

}  // namespace rap::resume
