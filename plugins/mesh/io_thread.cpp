#include "plugins/mesh/io_thread.hpp"

#include <signal.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "base/net/name_lookups.hpp"

namespace rap::mesh {
namespace {

// The system's resolver cannot be interrupted; whoever it still works for has gone, and its thread
// ends by itself. Below what a stop may take.
constexpr auto kLookupsLeft = std::chrono::milliseconds(2'000);

}  // namespace

IoThread::IoThread() : work_(io_.get_executor()) {
  // Signals are the business of the host's thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  thread_ = std::thread([this] { io_.run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

IoThread::~IoThread() {
  const auto until = std::chrono::steady_clock::now() + kLookupsLeft;
  while (net::NameLookups::of(executor()).running() > 0 &&
         std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  post([this] { io_.stop(); });
  thread_.join();
}

void IoThread::post(std::function<void()> work) {
  boost::asio::post(io_, std::move(work));
}

void IoThread::run(net::Task<void> task) {
  std::promise<void> ended;
  auto done = [&ended](std::exception_ptr error) {
    if (error) {
      ended.set_exception(error);
    } else {
      ended.set_value();
    }
  };
  boost::asio::co_spawn(io_, std::move(task), done);
  ended.get_future().get();
}

}  // namespace rap::mesh
