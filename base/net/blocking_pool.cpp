#include "base/net/blocking_pool.hpp"

#include <atomic>
#include <exception>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace rap::net {

struct BlockingPool::Impl {
  explicit Impl(std::size_t n) : threads(n) {}
  std::atomic<std::size_t> pending{0};
  asio::thread_pool threads;
};

BlockingPool::BlockingPool(std::size_t threads)
    : impl_(std::make_unique<Impl>(threads == 0 ? 1 : threads)) {}

BlockingPool::~BlockingPool() {
  impl_->threads.join();
}

void BlockingPool::post(std::function<void()> work) {
  ++impl_->pending;
  asio::post(impl_->threads, [impl = impl_.get(), work = std::move(work)]() mutable {
    work();
    work = nullptr;
    --impl->pending;
  });
}

std::size_t BlockingPool::pending() const {
  return impl_->pending;
}

namespace detail {

namespace {

// An ordinary function: it builds the closures, and no co_await sees them.
template <typename Token>
auto start_on_pool(BlockingPool& pool, std::function<void()> work, asio::any_io_executor home,
                   std::shared_ptr<std::exception_ptr> error, Token&& token) {
  auto initiate = [&pool, home](auto handler, std::function<void()> job,
                                std::shared_ptr<std::exception_ptr> thrown) {
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    // Keeps the caller's io_context running while the work is elsewhere.
    auto guard = asio::make_work_guard(home);
    pool.post([job = std::move(job), thrown, home, guard, shared]() mutable {
      try {
        job();
      } catch (...) {
        *thrown = std::current_exception();
      }
      job = nullptr;
      asio::post(home, [shared = std::move(shared)]() mutable { std::move (*shared)(); });
    });
  };
  return asio::async_initiate<Token, void()>(std::move(initiate), token, std::move(work),
                                             std::move(error));
}

}  // namespace

Task<void> run_on_pool(BlockingPool& pool, std::function<void()> work) {
  auto home = co_await asio::this_coro::executor;
  auto error = std::make_shared<std::exception_ptr>();
  co_await start_on_pool(pool, std::move(work), home, error, asio::use_awaitable);
  if (*error) std::rethrow_exception(*error);
}

}  // namespace detail

}  // namespace rap::net
