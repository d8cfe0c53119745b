#include <malloc.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/log.hpp"
#include "host/agent/commands/commands.hpp"
#include "host/agent/ops/routes.hpp"
#include "host/agent/ops/unix_listener.hpp"
#include "host/agent/run/agent.hpp"
#include "host/agent/version.hpp"

namespace rap::agent {
namespace {

// Of what the node says of itself; each kind and subject comes once in ten minutes.
constexpr std::size_t kNodeEventsMax = 500;

// systemd's readiness protocol: one datagram. Without NOTIFY_SOCKET there is nobody to tell.
void notify(const char* text) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || *path == '\0') return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (std::strlen(path) >= sizeof address.sun_path) return;
  std::strcpy(address.sun_path, path);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // abstract
  Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  ::sendto(socket.get(), text, std::strlen(text), MSG_NOSIGNAL,
           reinterpret_cast<sockaddr*>(&address), length);
}

// Everything on disk is whole at any moment, and the processes it supervises are to live on: there
// is nothing to unwind. Waiting for a download to end would only make a restart slow.
[[noreturn]] void leave(const char* why) {
  notify("STOPPING=1");
  log::info("agent leaves", {{"reason", why}});
  std::quick_exit(0);
}

int serve(const Config& config, Identity identity, const ServerAddress& server,
          HostAbilities abilities, Outbox outbox, Outbox node_outbox, std::int64_t fence) {
  const Facts facts = read_facts();
  net::asio::io_context io(1);
  net::BlockingPool pool(1);  // hashing and the TUF client; one at a time is what they need
  net::TaskGroup tasks(io.get_executor());
  const StateLayout state{config.state_dir};
  const RunLayout run{config.run_dir};
  Context context{
      io.get_executor(), pool,  config,    state, run, InstanceRecords(run.instances()), fence,
      facts.boot_id,     tasks, Counters{}};
  Agent agent(context, std::move(identity), server, std::move(abilities), facts, std::move(outbox),
              std::move(node_outbox));

  auto ops = listen_unix(io.get_executor(), run.ops_socket());
  if (!ops) return report_failure(ops.error(), Output::text);
  net::asio::signal_set signals(io, SIGTERM, SIGINT);
  // The answer to POST /stop should still reach its caller.
  const auto stopped = [&io] {
    auto timer = std::make_shared<net::asio::steady_timer>(io, std::chrono::milliseconds(200));
    timer->async_wait([timer](const boost::system::error_code&) { leave("stopped"); });
  };
  net::HttpServerLimits limits;
  limits.connections_max = 32;                       // local tools
  limits.handler_timeout = std::chrono::minutes(5);  // POST /stop waits for many sessions
  net::HttpServer server_socket(io.get_executor(), std::move(*ops), std::nullopt,
                                ops_handler(agent, stopped), limits);
  signals.async_wait([](const boost::system::error_code& error, int) {
    if (!error) leave("signal; sessions, workers and listener go on");
  });
  server_socket.start();
  agent.start();
  notify("READY=1");
  log::info("agent runs", {{"version", kAgentVersion}, {"fence", fence}});
  io.run();
  return 1;  // not reached: the agent leaves by leave()
}

}  // namespace

int run_command(const Config& config) {
  ::signal(SIGPIPE, SIG_IGN);
  // Two threads that allocate little: one arena, and memory goes back early.
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_TRIM_THRESHOLD, 256 * 1024);
  ::mallopt(M_MMAP_THRESHOLD, 256 * 1024);

  const StateLayout state{config.state_dir};
  const RunLayout run{config.run_dir};
  auto identity = read_identity(state.identity());
  if (!identity && identity.error().code == Errc::not_found) {
    return report_failure(
        {Errc::not_found,
         "this host is not enrolled (" + state.identity().string() +
             " does not exist); run: rap-node-agent enroll --server URL --token-file FILE"},
        Output::text);
  }
  if (!identity) return report_failure(identity.error(), Output::text);
  if (Status made = make_directories(state, run); !made) {
    return report_failure(made.error(), Output::text);
  }
  auto lock = lock_state(state);
  if (!lock) return report_failure(lock.error(), Output::text);
  if (const int removed = remove_temporary_files(state, run); removed > 0) {
    log::info("half-written files removed", {{"count", removed}});
  }
  auto fence = next_fence(run.fence());
  if (!fence) return report_failure(fence.error(), Output::text);
  auto outbox = Outbox::open(state.outbox(), static_cast<std::size_t>(config.outbox_events_max));
  if (!outbox) return report_failure(outbox.error(), Output::text);
  if (outbox->damaged() > 0) {
    log::error("damaged lines in the outbox skipped", {{"count", outbox->damaged()}});
  }
  auto node_outbox = Outbox::open(state.node_outbox(), kNodeEventsMax);
  if (!node_outbox) return report_failure(node_outbox.error(), Output::text);
  auto server = server_of(config, *identity);
  if (!server) return report_failure(server.error(), Output::text);
  // Forks a child to try things: before there are threads.
  HostAbilities abilities =
      probe_host({config.worker_path, config.listener_path, system_library_directories()});
  return serve(config, std::move(*identity), *server, std::move(abilities), std::move(*outbox),
               std::move(*node_outbox), *fence);
}

}  // namespace rap::agent
