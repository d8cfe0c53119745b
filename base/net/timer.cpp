#include "base/net/timer.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/net/cancellation.hpp"

namespace rap::net {

Task<void> sleep_for(milliseconds time) {
  auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor, time);
  co_await timer.async_wait(asio::use_awaitable);
}

namespace detail {

Task<void> run_with_deadline(Task<void> task, milliseconds limit) {
  auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor, limit);
  // Ends when both have ended: the loser is cancelled and waited for.
  auto both = asio::experimental::make_parallel_group(
      asio::co_spawn(executor, contained(std::move(task)), asio::deferred),
      timer.async_wait(asio::deferred));
  auto outcome = co_await both.async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
  const auto& order = std::get<0>(outcome);
  const std::exception_ptr& thrown = std::get<1>(outcome);
  const boost::system::error_code timer_error = std::get<2>(outcome);
  if (order[0] == 1 && !timer_error) {
    // It may have ended in the same moment; what it did counts then.
    if (thrown) throw NetError(Errc::timeout, "no end within the time allowed");
    co_return;
  }
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace detail

}  // namespace rap::net
