// Waiting, and not waiting too long.
#pragma once

#include <optional>
#include <utility>

#include "base/net/net_error.hpp"
#include "base/net/task.hpp"

namespace rap::net {

Task<void> sleep_for(milliseconds time);

namespace detail {
Task<void> run_with_deadline(Task<void> task, milliseconds limit);

template <typename T>
Task<void> store_result(Task<T> task, std::optional<T>& out) {
  out.emplace(co_await std::move(task));
}

template <typename T>
Task<T> result_with_deadline(Task<T> task, milliseconds limit) {
  std::optional<T> out;
  co_await run_with_deadline(store_result(std::move(task), out), limit);
  co_return std::move(*out);
}
}  // namespace detail

// Runs `task`; when `limit` passes first, cancels it, waits until it has ended, and throws NetError
// `timeout`. Cancelling the caller cancels the task.
inline Task<void> with_deadline(Task<void> task, milliseconds limit) {
  return detail::run_with_deadline(std::move(task), limit);
}
template <typename T>
Task<T> with_deadline(Task<T> task, milliseconds limit) {
  return detail::result_with_deadline(std::move(task), limit);
}

}  // namespace rap::net
