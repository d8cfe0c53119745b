#include "tests/support/run_task.hpp"

#include <exception>

#include <boost/asio/co_spawn.hpp>

#include "tests/support/patience.hpp"

namespace rap::test {

void run_task(boost::asio::io_context& io, Task<void> task) {
  bool ended = false;
  std::exception_ptr thrown;
  boost::asio::co_spawn(io, net::with_deadline(std::move(task), kPatience),
                        [&](std::exception_ptr error) {
                          thrown = error;
                          ended = true;
                        });
  io.restart();
  while (!ended && io.run_one() > 0) {
  }
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace rap::test
