// The coroutine type of the whole tree.
#pragma once

#include <chrono>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/this_coro.hpp>

namespace rap::net {

namespace asio = boost::asio;

// Lazy: runs when awaited or spawned (TaskGroup::spawn). Read docs on g++ 12 in base/net/README.md
// before writing one: name closures and braced aggregates before the co_await that uses them.
template <typename T = void>
using Task = asio::awaitable<T>;

using std::chrono::milliseconds;

}  // namespace rap::net
