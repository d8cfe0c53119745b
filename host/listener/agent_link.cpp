#include "host/listener/agent_link.hpp"

#include <fcntl.h>

#include <chrono>
#include <cstdlib>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include "base/log.hpp"
#include "base/net/asio_error.hpp"

namespace rap::listener {

namespace {

// Shared by the waiting task and the server's callback: either may end first.
struct Pending {
  explicit Pending(net::asio::any_io_executor executor) : done(std::move(executor)) {}
  Result<ipc::Message> result = fail(Errc::timeout, "the agent did not answer");
  net::Event done;
};

constexpr std::chrono::seconds kHelloLimit{30};

int copy_of(int fd) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw net::errno_to_net_error(errno, "agent link");
  return copy;
}

}  // namespace

AgentLink::AgentLink(net::asio::any_io_executor executor, ipc::ServerOptions options,
                     ipc::IpcServer::Handlers handlers)
    : executor_(executor),
      server_(std::move(options), std::move(handlers)),
      greeting_(executor, kHelloLimit),
      ready_(executor, copy_of(server_.fd())) {}

void AgentLink::leave_unless_greeted() {
  greeting_.async_wait([this](const boost::system::error_code& error) {
    if (error || server_.greeted()) return;
    log::warn("no agent came");
    std::_Exit(1);  // it was never told to listen: there is nobody to say goodbye to
  });
}

net::Task<void> AgentLink::run() {
  leave_unless_greeted();
  struct Cancel {
    ~Cancel() { timer.cancel(); }
    net::asio::steady_timer& timer;
  } cancel{greeting_};  // it must not keep a process that is told to leave
  for (;;) {
    server_.process();
    if (server_.greeted()) greeting_.cancel();
    boost::system::error_code error;
    co_await ready_.async_wait(net::asio::posix::stream_descriptor::wait_read,
                               net::asio::redirect_error(net::asio::use_awaitable, error));
    if (error) throw net::to_net_error(error, "agent link");
  }
}

net::Task<Result<ipc::Message>> AgentLink::call(boost::json::object body, Fd there,
                                                net::milliseconds timeout) {
  auto pending = std::make_shared<Pending>(executor_);
  std::vector<Fd> fds;
  fds.push_back(std::move(there));
  server_.call(std::move(body), std::move(fds), timeout, [pending](Result<ipc::Message> result) {
    pending->result = std::move(result);
    pending->done.set();
  });
  co_await pending->done.wait();
  co_return std::move(pending->result);
}

}  // namespace rap::listener
