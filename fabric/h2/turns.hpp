// Strict priority on one thread: bulk connections take turns, one batch each, and between two of
// them everything else that is ready runs. However many there are, a keystroke waits for one batch.
#pragma once

#include <functional>
#include <memory>

#include "base/net/task.hpp"

namespace rap::fabric {

class BulkTurns {
 public:
  // Calls `turn` once, after those that were added before.
  void add(std::function<void()> turn);

  // The one of the context of `executor`, which lives as long as that.
  static BulkTurns& of(const net::asio::any_io_executor& executor);

  explicit BulkTurns(net::asio::any_io_executor executor);

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with the handler that runs the next
};

}  // namespace rap::fabric
