#include "base/net/task_group.hpp"

#include <map>
#include <string>
#include <vector>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include "base/log.hpp"
#include "base/net/asio_error.hpp"
#include "base/net/cancellation.hpp"
#include "base/net/event.hpp"

namespace rap::net {

struct TaskGroup::State {
  explicit State(asio::any_io_executor e) : executor(e), idle(e) { idle.set(); }

  asio::any_io_executor executor;
  bool closed = false;
  std::uint64_t next = 0;
  std::map<std::uint64_t, std::shared_ptr<asio::cancellation_signal>> running;
  Event idle;  // set while nothing runs

  void ended(std::uint64_t number) {
    running.erase(number);
    if (running.empty()) idle.set();
  }

  void cancel() {
    std::vector<std::shared_ptr<asio::cancellation_signal>> signals;
    signals.reserve(running.size());
    for (auto& [number, signal] : running) signals.push_back(signal);
    for (auto& signal : signals) cancel_task(executor, std::move(signal));
  }
};

TaskGroup::TaskGroup(asio::any_io_executor executor)
    : state_(std::make_shared<State>(std::move(executor))) {}

TaskGroup::~TaskGroup() {
  state_->closed = true;
  state_->cancel();
}

void TaskGroup::spawn(std::string_view what, Task<void> task) {
  if (state_->closed) return;
  const std::uint64_t number = state_->next++;
  auto signal = std::make_shared<asio::cancellation_signal>();
  state_->running.emplace(number, signal);
  state_->idle.reset();
  auto ended = [state = state_, number, signal,
                name = std::string(what)](std::exception_ptr error) {
    if (error && !is_cancellation(error)) {
      log::warn("task failed", {{"task", name}, {"error", exception_text(error)}});
    }
    state->ended(number);
  };
  asio::co_spawn(state_->executor, contained(std::move(task)),
                 asio::bind_cancellation_slot(signal->slot(), std::move(ended)));
}

std::size_t TaskGroup::size() const {
  return state_->running.size();
}

Task<void> TaskGroup::drain(milliseconds grace) {
  auto state = state_;
  state->closed = true;
  const bool done = co_await state->idle.wait_for(grace);
  if (done) co_return;
  // A task may catch one cancellation and go on to another wait: repeat until it gives in.
  for (;;) {
    state->cancel();
    const bool ended = co_await state->idle.wait_for(milliseconds(100));
    if (ended) co_return;
  }
}

void TaskGroup::cancel() {
  state_->cancel();
}

}  // namespace rap::net
