// Waiting on an io_context for what its handlers bring about: never for a time in which that
// "surely" has happened.
#pragma once

#include <functional>

#include <boost/asio/io_context.hpp>

#include "tests/support/patience.hpp"

namespace rap::test {

// Runs the loop until `done`; false after kPatience.
inline bool run_until(boost::asio::io_context& io, const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    io.restart();
    io.run_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace rap::test
