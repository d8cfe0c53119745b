// A level-triggered signal between tasks of one executor.
#pragma once

#include <memory>

#include "base/net/task.hpp"

namespace rap::net {

class Event {
 public:
  explicit Event(asio::any_io_executor executor);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  // Wakes everybody who waits, and lets later waits through until reset().
  void set();
  void reset();
  bool is_set() const;

  // Returns when set.
  Task<void> wait();
  // The same, at most for `limit`; false when it is still not set then.
  Task<bool> wait_for(milliseconds limit);

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with the waits
};

}  // namespace rap::net
