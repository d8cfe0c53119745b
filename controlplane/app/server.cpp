#include "controlplane/app/server.hpp"

#include <csignal>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>

#include "base/log.hpp"
#include "base/net/http_server.hpp"
#include "base/net/task_group.hpp"
#include "base/net/timer.hpp"
#include "controlplane/app/listener.hpp"
#include "controlplane/app/maintenance.hpp"
#include "controlplane/auth/password.hpp"
#include "controlplane/auth/throttle.hpp"
#include "controlplane/clusters/keys.hpp"
#include "controlplane/db/database.hpp"
#include "controlplane/db/migrate.hpp"
#include "controlplane/director/director.hpp"
#include "controlplane/http/api.hpp"
#include "controlplane/mesh/rounds.hpp"
#include "controlplane/metrics/endpoint.hpp"
#include "controlplane/nodes/desired.hpp"
#include "controlplane/nodes/heartbeats.hpp"
#include "controlplane/pki/platform.hpp"
#include "controlplane/pki/server_certificate.hpp"

namespace rap::cp {
namespace {

namespace asio = boost::asio;
using net::Task;

// Requests under way get this long when the server stops; long polls are simply cut.
constexpr net::milliseconds kDrainGrace{3000};
constexpr net::milliseconds kMaintenancePause{2000};
// A wake-up so late, or a round so long, says that this process, or its database, stood still:
// heartbeats could not be heard meanwhile. A round of a busy server takes a second or two.
constexpr std::chrono::seconds kLateWakeUp{4}, kLongRound{10};
// Clusters whose mesh is looked at in one round of maintenance; the others have their turn next.
constexpr int kMeshRounds = 50;
constexpr std::chrono::hours kCertificateLookEvery{24};
// Nothing rotates it yet (docs/running.md): whoever runs the cluster needs weeks to replace it.
constexpr std::chrono::hours kDirectorRootWarnBefore{24 * 60};

constexpr const char* kMyPower = R"sql(
  select rolsuper or rolbypassrls as strong from pg_roles where rolname = current_user
)sql";

// The root in force of each cluster.
constexpr const char* kDirectorRoots = R"sql(
  select distinct on (cluster_id) cluster_id, document::jsonb #>> '{signed,expires}' as expires
  from cluster_director_roots order by cluster_id, version desc
)sql";

Status check_database(const Config& config) {
  Connection connection(config.postgres.url);
  if (auto schema = check_schema(connection, embedded_migrations()); !schema) return schema;
  bool strong = true;
  connection.run([&](Tx& tx) { strong = tx.query(kMyPower)[0].boolean("strong"); });
  if (strong) {
    return fail(
        Errc::forbidden,
        "postgres.url connects as a role that bypasses row level security; use the role that "
        "init made");
  }
  return {};
}

}  // namespace

struct Server::Impl {
  Impl(asio::any_io_executor given, Config settings, const Clock& the_clock, PlatformKeys platform)
      : executor(std::move(given)),
        config(std::move(settings)),
        clock(the_clock),
        keys(std::move(platform)),
        db({config.postgres.url, config.postgres.connections}),
        cluster_keys(keys.sealer),
        redis(executor, config.redis.url),
        throttle(redis, clock),
        signals(executor),
        heartbeats(executor, db),
        director(cluster_keys, config.version_storage),
        services{config,   clock, db,      keys.sealer, keys.authority, cluster_keys, passwords,
                 throttle, redis, signals, heartbeats,  metrics,        director},
        api(services, all_routes()),
        tasks(executor) {}

  asio::any_io_executor executor;
  Config config;
  const Clock& clock;
  PlatformKeys keys;
  Database db;
  ClusterKeys cluster_keys;
  PasswordHasher passwords;
  Redis redis;
  LoginThrottle throttle;
  NodeSignals signals;
  HeartbeatBatcher heartbeats;
  Metrics metrics;
  Director director;
  Services services;
  Api api;
  net::TaskGroup tasks;
  std::optional<net::TlsServerContext> tls;
  std::unique_ptr<net::HttpServer> http;
  std::unique_ptr<net::HttpServer> metrics_http;  // null when the configuration wants none
  std::unique_ptr<NotificationListener> listener;

  Task<void> load_authorities() {
    std::string pem;
    Database::Work read = [&](Tx& tx) { pem = all_cluster_authorities(tx); };
    co_await db.run(std::move(read));
    if (auto done = tls->set_client_ca(pem); !done && !pem.empty()) {
      log::error("cluster authorities not loaded", {{"detail", done.error().text()}});
    }
  }

  Task<net::HttpResponse> answer(const net::HttpRequest& request, const net::PeerInfo& peer) {
    net::HttpResponse response = co_await api.handle(request, peer);
    // Whoever made a cluster may have a node of it connect before the notification is heard.
    const bool new_cluster = request.method == "POST" && request.path() == "/v1/clusters";
    if (new_cluster && response.status == 201) co_await load_authorities();
    co_return response;
  }

  void heard(const Connection::Notification& event) {
    if (event.channel == "rap_desired") signals.wake(event.payload);
    if (event.channel == "rap_clusters") tasks.spawn("load authorities", load_authorities());
    if (event.channel == "rap_close") {
      const std::string suffix = "/node/" + event.payload;
      const auto closed = http->close_connections_if(
          [&](const net::PeerInfo& peer) { return peer.spiffe().ends_with(suffix); });
      log::info("connections of a node closed", {{"node", event.payload}, {"count", closed}});
    }
  }

  void listen() {
    NotificationListener::Callbacks callbacks;
    callbacks.heard = [this](const Connection::Notification& event) {
      asio::post(executor, [this, event] { heard(event); });
    };
    callbacks.reconnected = [this] {
      asio::post(executor, [this] {
        signals.wake_all();
        tasks.spawn("load authorities", load_authorities());
      });
    };
    listener = std::make_unique<NotificationListener>(
        config.postgres.url, std::vector<std::string>{"rap_desired", "rap_clusters", "rap_close"},
        std::move(callbacks));
  }

  // Renews the file when that is due, and takes over what is in it now, whoever wrote it. Key and
  // file are made here on the event loop: some milliseconds, once a year.
  void look_at_certificate(SystemTime now) {
    auto identity = load_server_identity(config, keys.authority, now);
    if (!identity) {
      log::error("server certificate not renewed", {{"detail", identity.error().text()}});
      return;
    }
    if (identity->certificate_pem == keys.server.certificate_pem) return;
    if (auto done = tls->set_identity(*identity); !done) {
      log::error("server certificate not taken over", {{"detail", done.error().text()}});
      return;
    }
    keys.server = std::move(*identity);
    log::info("server certificate changed", {{"file", kServerCertificateFile}});
  }

  void look_at_director_roots(Tx& tx, SystemTime now) {
    for (const Row& row : tx.query(kDirectorRoots)) {
      const auto ends = from_rfc3339(row.text_or_none("expires").value_or(""));
      if (!ends || *ends - kDirectorRootWarnBefore > now) continue;
      log::warn("the director's root of a cluster ends; see docs/running.md",
                {{"cluster", row.text("cluster_id")}, {"until", to_rfc3339(*ends)}});
    }
  }

  Task<void> tell_meshes(SystemTime now) {
    for (int rounds = 0; rounds < kMeshRounds; ++rounds) {
      std::optional<ClusterId> cluster;
      Database::Work next = [&cluster, now](Tx& tx) { cluster = next_mesh_round(tx, now); };
      co_await db.run(std::move(next));
      if (!cluster) co_return;
      Database::Work round = [&cluster, now](Tx& tx) { run_mesh_round(tx, *cluster, now); };
      co_await db.run(std::move(round));
    }
  }

  Task<void> maintain() {
    // A node that nobody could hear is not silent.
    SystemTime listening_since = clock.now();
    SystemTime last_round = listening_since;
    const std::chrono::hours kept{24 * config.retention.sessions_days};
    SystemTime looked = clock.now() - kCertificateLookEvery;
    for (;;) {
      const SystemTime asleep = clock.now();
      co_await net::sleep_for(kMaintenancePause);
      const SystemTime now = clock.now();
      const bool late = now - asleep > kMaintenancePause + kLateWakeUp;
      if (late || asleep - last_round > kLongRound) {
        listening_since = now;
        log::warn("this server stood still; for a while no node is said to be silent",
                  {{"seconds",
                    std::chrono::duration_cast<std::chrono::seconds>(now - last_round).count()}});
      }
      last_round = now;
      const bool daily = now - looked >= kCertificateLookEvery;
      if (daily) {
        looked = now;
        look_at_certificate(now);
      }
      Database::Work work = [this, now, listening_since, kept, daily](Tx& tx) {
        run_maintenance(tx, now, listening_since, kept);
        if (daily) look_at_director_roots(tx, now);
      };
      try {
        co_await db.run(std::move(work));
        co_await tell_meshes(now);
      } catch (const std::runtime_error& error) {
        listening_since = clock.now();
        log::warn("maintenance put off", {{"detail", error.what()}});
      }
    }
  }

  void describe_metrics() {
    metrics.gauge("rap_http_connections", "Open connections",
                  [this] { return static_cast<double>(http->stats().connections); });
    metrics.gauge("rap_http_idle_ended", "Idle connections closed because places were short",
                  [this] { return static_cast<double>(http->stats().ended_idle); });
    metrics.gauge("rap_http_handshakes_failed", "Connections that never became TLS",
                  [this] { return static_cast<double>(http->stats().handshake_failed); });
    metrics.gauge("rap_database_waiting", "Transactions that wait for a connection",
                  [this] { return static_cast<double>(db.stats().waiting); });
    metrics.gauge("rap_database_failures", "Connections to PostgreSQL lost or refused",
                  [this] { return static_cast<double>(db.stats().failures); });
    metrics.gauge("rap_redis_connected", "1 while Redis answers",
                  [this] { return redis.connected() ? 1.0 : 0.0; });
    metrics.gauge("rap_heartbeats_received", "Heartbeats of nodes",
                  [this] { return static_cast<double>(heartbeats.stats().received); });
    metrics.gauge("rap_node_identity_conflicts",
                  "Times that two machines were seen to use the identity of one node",
                  [this] { return static_cast<double>(heartbeats.stats().identity_conflicts); });
    metrics.gauge("rap_heartbeats_written", "Heartbeats in PostgreSQL",
                  [this] { return static_cast<double>(heartbeats.stats().written); });
    metrics.gauge("rap_heartbeat_batches", "Transactions that wrote them",
                  [this] { return static_cast<double>(heartbeats.stats().batches); });
  }
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::create(asio::any_io_executor executor, const Config& config,
                                               const Clock& clock) {
  if (auto good = check_database(config); !good) return fail(good.error());
  auto keys = load_platform_keys(config, clock.now());
  if (!keys) return fail(keys.error());
  std::string authorities;
  {
    Connection connection(config.postgres.url);
    connection.run([&](Tx& tx) { authorities = all_cluster_authorities(tx); });
  }
  net::TlsServerOptions options{keys->server, net::OptionalCa{authorities}, {}};
  auto tls = net::TlsServerContext::create(options);
  if (!tls) return fail(tls.error(), "TLS");
  auto listener = net::Listener::bind(executor, config.listen);
  if (!listener) return fail(listener.error(), "listen");
  auto impl = std::make_unique<Impl>(executor, config, clock, std::move(*keys));
  impl->tls = *tls;
  Impl* self = impl.get();
  impl->http = std::make_unique<net::HttpServer>(
      executor, std::move(*listener), std::move(*tls),
      [self](const net::HttpRequest& request, const net::PeerInfo& peer) {
        return self->answer(request, peer);
      });
  impl->describe_metrics();
  if (config.metrics_listen) {
    auto metrics_listener = net::Listener::bind(executor, *config.metrics_listen);
    if (!metrics_listener) {
      return fail(metrics_listener.error(), "metrics.listen (another address, or \"\" for none)");
    }
    impl->metrics_http = make_metrics_server(executor, std::move(*metrics_listener), impl->metrics);
  }
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

void Server::start() {
  impl_->redis.start();
  impl_->listen();
  impl_->tasks.spawn("heartbeats", impl_->heartbeats.run());
  impl_->tasks.spawn("maintenance", impl_->maintain());
  impl_->http->start();
  if (impl_->metrics_http) {
    impl_->metrics_http->start();
    log::info("metrics", {{"address", impl_->metrics_http->local_address().text()}});
  }
  log::info("serving",
            {{"address", impl_->http->local_address().text()}, {"url", impl_->config.public_url}});
}

net::HostPort Server::local_address() const {
  return impl_->http->local_address();
}
Database& Server::database() {
  return impl_->db;
}

Task<void> Server::stop() {
  impl_->listener.reset();
  impl_->signals.wake_all();
  co_await impl_->http->drain(kDrainGrace);
  if (impl_->metrics_http) co_await impl_->metrics_http->drain(net::milliseconds(0));
  impl_->heartbeats.stop();
  co_await impl_->tasks.drain(net::milliseconds(200));
  impl_->redis.stop();
}

Status run_serve(const Config& config) {
  asio::io_context context(1);
  const RealClock clock;
  auto server = Server::create(context.get_executor(), config, clock);
  if (!server) return fail(server.error());
  (*server)->start();
  net::TaskGroup stopping(context.get_executor());
  asio::signal_set signals(context, SIGINT, SIGTERM);
  const auto stop_all = [](Server& running, asio::io_context& loop) -> Task<void> {
    co_await running.stop();
    loop.stop();
  };
  signals.async_wait([&](auto error, int) {
    if (!error) stopping.spawn("stop", stop_all(**server, context));
  });
  context.run();
  log::info("stopped");
  return {};
}

}  // namespace rap::cp
