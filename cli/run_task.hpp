// Runs one coroutine to its end on the calling thread.
#pragma once

#include <exception>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/net/task.hpp"

namespace rap::cli {

// Other work of `io` runs meanwhile. Rethrows what the task throws.
template <typename T>
T run_task(net::asio::io_context& io, net::Task<T> task) {
  std::exception_ptr error;
  std::optional<T> out;
  net::asio::co_spawn(io, std::move(task), [&](std::exception_ptr thrown, T value) {
    error = thrown;
    if (!thrown) out.emplace(std::move(value));
    io.stop();
  });
  io.restart();
  io.run();
  if (error) std::rethrow_exception(error);
  return std::move(*out);
}

}  // namespace rap::cli
