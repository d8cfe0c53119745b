// The tasks of one component: none runs longer than the component.
#pragma once

#include <memory>
#include <string_view>

#include "base/net/task.hpp"

namespace rap::net {

class TaskGroup {
 public:
  explicit TaskGroup(asio::any_io_executor executor);
  // Cancels what is left, without waiting: drain() first when tasks use their owner.
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // Starts `task` on the executor, from its next turn on. An exception that leaves it
  // is logged with `what`, except cancellation. After drain() began the task is dropped unstarted.
  void spawn(std::string_view what, Task<void> task);

  std::size_t size() const;

  // Refuses new tasks, waits up to `grace` for the running ones, cancels the rest, waits for them.
  Task<void> drain(milliseconds grace);
  // Cancels all at once; they end at their next wait.
  void cancel();

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with the tasks
};

}  // namespace rap::net
