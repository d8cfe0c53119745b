// A bounded pool of connections, each with its own thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/net/task.hpp"
#include "controlplane/db/sql.hpp"

namespace rap::cp {

struct DatabaseOptions {
  std::string url;
  // Transactions here last under a millisecond; 8 connections are far above what two cores need,
  // and few enough for several servers under PostgreSQL's default of 100.
  std::size_t connections = 8;
  // Waiting transactions; more are refused at once, so that a slow database does not eat memory.
  std::size_t queue_max = 2000;
};

// Any thread. Reconnects by itself.
class Database {
 public:
  // Runs inside a transaction on a thread of the pool, commits when it returns. May run again from
  // the start after a deadlock or a connection lost before the commit, so it changes nothing but
  // the database and what it assigns.
  using Work = std::function<void(Tx&)>;

  explicit Database(DatabaseOptions options);
  // Waits for the work that was taken.
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Throws what `work` throws, DatabaseUnavailable (away, or the queue is full), CommitInDoubt
  // (lost at the commit: never run again here), and the others of sql.hpp. `work` must be named
  // before the co_await (base/net/README.md); what it refers to stays alive in the caller until the
  // awaitable is done, which cancellation does not shorten.
  net::Task<void> run(Work work);
  // The same for a thread that may wait.
  void run_blocking(const Work& work);

  struct Stats {
    std::size_t waiting = 0;
    std::uint64_t transactions = 0;
    std::uint64_t failures = 0;
    std::uint64_t reconnects = 0;
  };
  Stats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rap::cp
