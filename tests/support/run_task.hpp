// Runs awaitables in tests; compiled once.
#pragma once

#include <optional>

#include <boost/asio/io_context.hpp>

#include "base/net/task.hpp"
#include "base/net/timer.hpp"

namespace rap::test {

using net::Task;

// Runs `task` on `io` until it has ended and rethrows what it threw. Throws NetError `timeout`
// after 20 s. Other work of `io` goes on meanwhile and stays for the next call.
void run_task(boost::asio::io_context& io, Task<void> task);

template <typename T>
T run_task(boost::asio::io_context& io, Task<T> task) {
  std::optional<T> out;
  run_task(io, net::detail::store_result(std::move(task), out));
  return std::move(*out);
}

}  // namespace rap::test
