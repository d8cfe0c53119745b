// rap-mesh-listener: started by the agent, with the descriptors of docs/contracts/ipc.md.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <exception>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.hpp"
#include "host/listener/confine.hpp"
#include "host/listener/mesh_listener.hpp"

namespace {

constexpr int kListening = 3;
constexpr int kLog = 5;
// After SIGTERM: enough for last bytes; a person's session lives in its worker, not here.
constexpr rap::net::milliseconds kGrace{2'000};

int usage(int code) {
  std::puts(
      "usage: rap-mesh-listener --instance NAME    (started by rap-node-agent, with descriptors 3, "
      "5)\n"
      "       rap-mesh-listener --version");
  return code;
}

rap::net::Task<void> stop_at_signal(boost::asio::signal_set& signals,
                                    rap::listener::MeshListener& listener) {
  co_await signals.async_wait(boost::asio::use_awaitable);
  rap::log::info("stopping");
  co_await listener.drain(kGrace);  // then nothing is left to run
}

int run() {
  using namespace rap;
  if (::dup2(kLog, STDOUT_FILENO) >= 0 && ::dup2(kLog, STDERR_FILENO) >= 0) ::close(kLog);
  if (::fcntl(kListening, F_GETFD) < 0) {
    log::error("descriptor 3 is not open: the agent starts this program");
    return 2;
  }
  ::fcntl(kListening, F_SETFD, FD_CLOEXEC);
  // A peer that is gone is an error to handle, not a reason to die.
  ::signal(SIGPIPE, SIG_IGN);
  const uid_t agent_uid = ::getuid();
  const auto layers = listener::confine();
  if (!layers) {
    log::error("the listener cannot be confined", {{"error", layers.error().text()}});
    return 1;
  }
  for (const sandbox::Layer& layer : layers->layers()) {
    log::info(
        "layer",
        {{"name", layer.name}, {"state", sandbox::name(layer.state)}, {"detail", layer.detail}});
  }

  boost::asio::io_context io(1);
  RealClock clock;
  ipc::ServerOptions options;
  options.listening.reset(kListening);
  options.kind = "listener";
  options.version = RAP_VERSION;
  options.agent_uid = agent_uid;
  listener::MeshListener listener(io.get_executor(), std::move(options), clock);
  listener.start();
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  net::TaskGroup tasks(io.get_executor());
  tasks.spawn("stop", stop_at_signal(signals, listener));
  io.run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  rap::log::init("rap-mesh-listener", rap::log::Level::info);
  if (argc == 2 &&
      (std::strcmp(argv[1], "--version") == 0 || std::strcmp(argv[1], "version") == 0)) {
    std::puts("rap-mesh-listener " RAP_VERSION);
    return 0;
  }
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) return usage(0);
  if (argc != 3 || std::strcmp(argv[1], "--instance") != 0) return usage(2);
  try {
    return run();
  } catch (const std::exception& fault) {
    rap::log::error("listener ends by a fault", {{"detail", fault.what()}});
    return 1;
  }
}
