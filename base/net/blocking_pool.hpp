// Threads for work that blocks: databases, big hashes, vendor libraries.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/net/task.hpp"

namespace rap::net {

class BlockingPool {
 public:
  explicit BlockingPool(std::size_t threads);
  // Waits for the work that was taken.
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  void post(std::function<void()> work);
  // Work taken and not finished.
  std::size_t pending() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

namespace detail {
Task<void> run_on_pool(BlockingPool& pool, std::function<void()> work);

template <typename R>
Task<R> take_result(Task<void> done, std::shared_ptr<std::optional<R>> out) {
  co_await std::move(done);
  co_return std::move(**out);
}
}  // namespace detail

// Runs `work` on a thread of `pool` and continues on the caller's executor with its result or its
// exception. Not interrupted by cancellation: what `work` refers to stays alive until it is done;
// a cancelled caller ends at its next wait.
//
// Name the closure first (g++ 12 destroys a closure written inside a co_await expression twice):
//   auto work = [id] { ... };
//   auto row = co_await run_blocking(pool, std::move(work));
template <typename F>
auto run_blocking(BlockingPool& pool, F work) {
  using R = std::invoke_result_t<F&>;
  if constexpr (std::is_void_v<R>) {
    return detail::run_on_pool(pool,
                               [fn = std::make_shared<F>(std::move(work))]() mutable { (*fn)(); });
  } else {
    auto out = std::make_shared<std::optional<R>>();
    std::function<void()> erased = [fn = std::make_shared<F>(std::move(work)), out] {
      out->emplace((*fn)());
    };
    return detail::take_result<R>(detail::run_on_pool(pool, std::move(erased)), out);
  }
}

}  // namespace rap::net
