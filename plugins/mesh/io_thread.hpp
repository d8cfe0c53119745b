// The thread on which the mesh lives: everything that waits for a network runs there.
#pragma once

#include <functional>
#include <future>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "base/clock.hpp"
#include "base/net/task.hpp"
#include "fabric/resume/clock.hpp"

namespace rap::mesh {

class IoThread {
 public:
  IoThread();
  // Joins. What was posted before has run; what still waited is destroyed.
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  net::asio::any_io_executor executor() { return io_.get_executor(); }
  // Any thread; in order.
  void post(std::function<void()> work);
  // Runs a task there and returns when it has ended. Not on the thread itself.
  void run(net::Task<void> task);

  // Streams and their tasks use them until the context is gone.
  const RealClock clock;
  const resume::RealResumeClock resume_clock;

 private:
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
};

}  // namespace rap::mesh
