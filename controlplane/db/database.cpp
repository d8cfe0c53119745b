#include "controlplane/db/database.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.hpp"
#include "controlplane/db/reconnect.hpp"

namespace rap::cp {
namespace {

namespace asio = boost::asio;
using Done = std::function<void(std::exception_ptr)>;

struct Job {
  Database::Work work;
  Done done;
};

// Deadlocks are rare and end by running again; a third time says something is wrong.
constexpr int kAttemptsMax = 3;

}  // namespace

struct Database::Impl {
  explicit Impl(DatabaseOptions given) : options(std::move(given)) {}

  DatabaseOptions options;
  mutable std::mutex mutex;
  std::condition_variable wake;
  std::deque<Job> queue;  // guarded by mutex
  bool stopping = false;  // guarded by mutex
  ReconnectGate gate;
  std::vector<std::thread> threads;
  std::atomic<std::uint64_t> transactions{0}, failures{0}, reconnects{0};

  bool push(Job& job) {
    const std::lock_guard lock(mutex);
    if (stopping || queue.size() >= options.queue_max) return false;
    queue.push_back(std::move(job));
    wake.notify_one();
    return true;
  }

  void serve() {
    std::unique_ptr<Connection> connection;
    for (;;) {
      Job job;
      {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return stopping || !queue.empty(); });
        if (queue.empty()) return;
        job = std::move(queue.front());
        queue.pop_front();
      }
      std::exception_ptr error;
      try {
        attempt(job.work, connection);
        ++transactions;
      } catch (...) {
        error = std::current_exception();
      }
      job.work = nullptr;
      job.done(error);
    }
  }

  void attempt(const Work& work, std::unique_ptr<Connection>& connection) {
    for (int attempt = 1;; ++attempt) {
      const bool fresh = !connection;
      try {
        if (fresh) connect(connection);
        connection->run(work);
        return;
      } catch (const TransactionConflict&) {
        if (attempt == kAttemptsMax) throw;
      } catch (const CommitInDoubt& error) {
        ++failures;
        connection.reset();
        log::warn("connection lost while committing", {{"detail", error.what()}});
        throw;
      } catch (const DatabaseUnavailable& error) {
        ++failures;
        connection.reset();
        // A connection that died while idle (the server was restarted) costs one more attempt; one
        // that was just made does not come back by asking at once.
        if (fresh) {
          log::warn("database unavailable", {{"detail", error.what()}});
          throw;
        }
      }
    }
  }

  void connect(std::unique_ptr<Connection>& connection) {
    ReconnectGate::Attempt attempt;
    if (!gate.may_try(std::chrono::steady_clock::now(), attempt)) {
      throw DatabaseUnavailable("the database was away a moment ago");
    }
    try {
      connection = std::make_unique<Connection>(options.url);
    } catch (const DatabaseUnavailable&) {
      gate.failed(std::chrono::steady_clock::now(), attempt);
      throw;
    }
    gate.succeeded();
    ++reconnects;
  }
};

Database::Database(DatabaseOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {
  for (std::size_t i = 0; i < impl_->options.connections; ++i) {
    impl_->threads.emplace_back([impl = impl_.get()] { impl->serve(); });
  }
}

Database::~Database() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->wake.notify_all();
  for (std::thread& thread : impl_->threads) thread.join();
}

net::Task<void> Database::run(Work work) {
  auto start = [impl = impl_.get()](auto handler, Work given) {
    // The handler is move-only, std::function wants copies; one owner at a time all the same.
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    // Tracked, so that the event loop stays while a thread here works for it.
    auto executor = asio::prefer(asio::get_associated_executor(*shared),
                                 asio::execution::outstanding_work.tracked);
    auto finish = [shared, executor](std::exception_ptr error) {
      asio::post(executor, [shared, error]() mutable { std::move (*shared)(error); });
    };
    Job job{std::move(given), finish};
    if (!impl->push(job)) {
      finish(std::make_exception_ptr(DatabaseUnavailable("too many transactions are waiting")));
    }
  };
  auto done = asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr)>(
      start, asio::use_awaitable, std::move(work));
  co_await std::move(done);
}

void Database::run_blocking(const Work& work) {
  std::promise<void> promise;
  Job job{work, [&promise](std::exception_ptr error) {
            if (error) {
              promise.set_exception(error);
            } else {
              promise.set_value();
            }
          }};
  if (!impl_->push(job)) throw DatabaseUnavailable("too many transactions are waiting");
  promise.get_future().get();
}

Database::Stats Database::stats() const {
  const std::lock_guard lock(impl_->mutex);
  return {impl_->queue.size(), impl_->transactions, impl_->failures, impl_->reconnects};
}

}  // namespace rap::cp
