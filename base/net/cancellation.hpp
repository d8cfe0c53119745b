// Private to base/net: asking a spawned task to end.
#pragma once

#include <exception>
#include <memory>
#include <optional>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/this_coro.hpp>

#include "base/net/task.hpp"

namespace rap::net {

// Emits on the task's executor. Boost 1.81's co_spawn forwards a signal that is emitted elsewhere
// by a raw pointer, which dangles when the task ends first; on the executor it forwards at once.
inline void cancel_task(const boost::asio::any_io_executor& executor,
                        std::shared_ptr<boost::asio::cancellation_signal> signal) {
  boost::asio::dispatch(executor, [signal = std::move(signal)] {
    signal->emit(boost::asio::cancellation_type::terminal);
  });
}

// Give co_spawn this instead of `task`. Boost 1.81 ends a coroutine that never waited with a wait
// of its own, outside the block that catches: if the task was cancelled meanwhile, that wait throws
// through io_context::run() and ends the process.
template <typename T>
Task<T> contained(Task<T> task) {
  std::exception_ptr error;
  std::optional<T> value;
  try {
    value = co_await std::move(task);
  } catch (...) {
    error = std::current_exception();
  }
  co_await boost::asio::this_coro::throw_if_cancelled(false);
  if (error) std::rethrow_exception(error);
  co_return std::move(*value);
}

inline Task<void> contained(Task<void> task) {
  std::exception_ptr error;
  try {
    co_await std::move(task);
  } catch (...) {
    error = std::current_exception();
  }
  co_await boost::asio::this_coro::throw_if_cancelled(false);
  if (error) std::rethrow_exception(error);
}

}  // namespace rap::net
