#include "base/net/event.hpp"

#include <vector>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/net/net_error.hpp"

namespace rap::net {

struct Event::State {
  explicit State(asio::any_io_executor e) : executor(std::move(e)) {}

  asio::any_io_executor executor;
  bool set = false;
  bool gone = false;             // the Event was destroyed
  std::uint64_t generation = 0;  // counts set(): a waiter sees one that was reset meanwhile
  std::vector<asio::steady_timer*> waiters;

  void wake() {
    for (asio::steady_timer* timer : waiters) timer->cancel();
  }
};

namespace {

using TimePoint = std::chrono::steady_clock::time_point;

// True when set, false when `until` passed. Keeps `state` itself: the Event may go away.
template <typename State>
Task<bool> wait_until(std::shared_ptr<State> state, TimePoint until) {
  if (state->set) co_return true;
  asio::steady_timer timer(state->executor, until);
  struct Registration {
    State& state;
    asio::steady_timer* timer;
    Registration(State& s, asio::steady_timer* t) : state(s), timer(t) {
      state.waiters.push_back(t);
    }
    ~Registration() { std::erase(state.waiters, timer); }
  } registration(*state, &timer);

  const std::uint64_t generation = state->generation;
  for (;;) {
    boost::system::error_code error;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (state->set || state->generation != generation) co_return true;
    if (state->gone) throw NetError(Errc::cancelled, "the event is gone");
    if (!error) co_return false;
    auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none) {
      throw NetError(Errc::cancelled, "wait");
    }
  }
}

}  // namespace

Event::Event(asio::any_io_executor executor)
    : state_(std::make_shared<State>(std::move(executor))) {}

Event::~Event() {
  state_->gone = true;
  state_->wake();
}

void Event::set() {
  if (state_->set) return;
  state_->set = true;
  ++state_->generation;
  state_->wake();
}

void Event::reset() {
  state_->set = false;
}

bool Event::is_set() const {
  return state_->set;
}

Task<void> Event::wait() {
  co_await wait_until(state_, TimePoint::max());
}

Task<bool> Event::wait_for(milliseconds limit) {
  return wait_until(state_, std::chrono::steady_clock::now() + limit);
}

}  // namespace rap::net
