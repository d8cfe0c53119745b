#include "plugins/mesh/core_adapter.hpp"

#include <fmt/format.h>
#include <openssl/ssl.h>

#include <algorithm>

#include "base/log_sink.hpp"
#include "plugins/mesh/identity.hpp"
#include "plugins/mesh/tell.hpp"

namespace rap::mesh {
namespace {

// As docs/contracts/ipc.md has it for dials.
constexpr net::milliseconds kTimeoutMax{60'000};

net::milliseconds timeout_of(std::uint64_t ms) {
  return std::min(net::milliseconds(static_cast<std::int64_t>(std::min<std::uint64_t>(
                      ms, static_cast<std::uint64_t>(kTimeoutMax.count())))),
                  kTimeoutMax);
}

rap_result result_of(Errc code) {
  switch (code) {
    case Errc::invalid:
    case Errc::malformed:
      return RAP_E_INVALID;
    case Errc::exhausted:
      return RAP_E_BUSY;
    case Errc::not_found:
      return RAP_E_GONE;
    case Errc::forbidden:
      return RAP_E_DENIED;
    case Errc::unsupported:
      return RAP_E_UNSUPPORTED;
    case Errc::unavailable:
      return RAP_E_UNREACHABLE;
    case Errc::timeout:
      return RAP_E_TIMEOUT;
    default:
      return RAP_E_INTERNAL;
  }
}

// `/proc` is there in the sandbox, and the path of the directory is the host's business.
std::filesystem::path caches_of(const Host& host) {
  const auto* table = host.find<rap_host_state_dir_1>();
  int fd = -1;
  std::uint64_t quota = 0;
  if (table == nullptr || table->fd(host.raw, &fd, &quota) != RAP_OK) return {};
  return "/proc/self/fd/" + std::to_string(fd);
}

}  // namespace

struct CoreAdapter::Dials {
  explicit Dials(net::asio::any_io_executor executor) : tasks(executor) {}
  net::Dialler dialler;
  net::TaskGroup tasks;

  static net::Task<void> run(Dials& self, std::string host, std::uint16_t port,
                             net::milliseconds timeout, std::string share,
                             std::function<void(Result<Fd>)> done) {
    auto socket = co_await self.dialler.dial(std::move(host), port, timeout, std::move(share));
    done(std::move(socket));
  }
};

CoreAdapter::CoreAdapter(Host the_host)
    : MeshAdapter(the_host),
      mesh_(host.need<rap_host_mesh_1>()),
      queue_(the_host),
      metrics_(the_host) {}

CoreAdapter::~CoreAdapter() {
  CoreAdapter::stop();
}

// OpenSSL reads its configuration and builds its tables here: later it may read no file.
void CoreAdapter::warm_up() {
  OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, nullptr);
}

void CoreAdapter::start() {
  if (const auto* config = host.find<rap_host_config_1>()) {
    auto endpoints = endpoints_of_config(view(config->json(host.raw)));
    if (!endpoints) throw Failure(RAP_E_CONFIG, endpoints.error().detail);
    endpoints_ = std::move(*endpoints);
  }
  shared_ = Shared::get();
  dials_ = std::make_unique<Dials>(shared_->thread().executor());
  const Host told = host;
  log::set_sink([told](log::Level level, std::string_view message, const std::string& fields) {
    told.log(static_cast<std::uint32_t>(level), message, fields);
  });
  const auto& snapshots = host.need<rap_host_snapshot_1>();
  check(snapshots.watch(host.raw, "access", snapshot<CoreAdapter, &CoreAdapter::on_access>, this),
        "access");
  check(mesh_.on_drop(host.raw, mesh_drop<CoreAdapter, &CoreAdapter::on_drop>, this), "on_drop");
}

// ---- documents, identities ----

void CoreAdapter::on_access(std::string_view, std::string_view json) {
  if (shared_ == nullptr) return;
  auto access = parse_access(json);
  Status good;
  if (!access) good = fail(access.error());
  if (access && access_ &&
      (access->cluster_id != access_->cluster_id || access->node_id != access_->node_id)) {
    good = fail(Errc::mismatch, "access: of another cluster or node");
  }
  trouble_ = good ? "" : "access: " + std::string(name(good.error().code));
  if (!good) {
    log::warn("mesh: what the node gave is refused", {{"error", good.error().text()}});
    return health_changed();
  }
  const bool first = !access_;
  access_ = std::move(*access);
  if (first) make_mesh(*access_);
  shared_->on_mesh([keys = access_->lease_keys](Mesh& mesh) { mesh.set_lease_keys(keys); });
}

// Only from now on somebody can take them, and nobody keeps a key meanwhile.
void CoreAdapter::make_mesh(const Access& access) {
  MeshSetup setup;
  setup.access = access;
  setup.endpoints = endpoints_;
  setup.caches = caches_of(host);
  Upward& up = *this;
  shared_->make_mesh(std::move(setup), up);
  const auto& identities = host.need<rap_host_identity_1>();
  for (const std::uint32_t kind : {RAP_IDENTITY_MESH, RAP_IDENTITY_SERVICE}) {
    check(identities.watch(host.raw, kind, identity<CoreAdapter, &CoreAdapter::on_identity>, this),
          "identity");
  }
  const auto& snapshots = host.need<rap_host_snapshot_1>();
  check(snapshots.watch(host.raw, "mesh", snapshot<CoreAdapter, &CoreAdapter::on_directory>, this),
        "directory");
}

void CoreAdapter::on_directory(std::string_view, std::string_view json) {
  if (shared_ == nullptr) return;
  const auto text = std::make_shared<std::string>(json);
  shared_->on_mesh([text](Mesh& mesh) { mesh.set_directory(std::move(*text)); });
}

void CoreAdapter::on_identity(const rap_identity& given) {
  if (shared_ == nullptr) return;
  const auto taken = copy_identity(given);
  if (given.kind == RAP_IDENTITY_MESH) {
    return shared_->on_mesh([taken](Mesh& mesh) { mesh.set_identity(taken); });
  }
  const std::string organization(view(given.organization)), service(view(given.service));
  shared_->on_mesh([taken, organization, service](Mesh& mesh) {
    mesh.set_service(organization, service, taken);
  });
}

void CoreAdapter::on_drop(std::string_view session, std::string_view organization) {
  if (shared_ == nullptr) return;
  shared_->on_mesh(
      [s = std::string(session), o = std::string(organization)](Mesh& mesh) { mesh.drop(s, o); });
}

// ---- streams ----

void CoreAdapter::accept(int fd, const rap_incoming&) {
  // Without it nobody could be told anything; the kernel's queue keeps who comes meanwhile.
  if (shared_ == nullptr || !shared_->has_mesh()) throw Failure(RAP_E_BUSY, "not ready yet");
  const auto socket = std::make_shared<Fd>(fd);
  shared_->on_mesh([socket](Mesh& mesh) { mesh.accept(std::move(*socket)); });
}

void CoreAdapter::deliver(Fd stream, std::string claims, std::function<void(Status)> answer) {
  const auto kept = std::make_shared<Fd>(std::move(stream));
  queue_.post([this, kept, claims = std::move(claims), answer = std::move(answer)] {
    deliver_now(kept, claims, answer);
  });
}

void CoreAdapter::deliver_now(const std::shared_ptr<Fd>& stream, const std::string& claims,
                              std::function<void(Status)> answer) {
  rap_mesh_stream given{};
  given.size = sizeof given;
  given.claims_json = borrow(claims);
  auto made = std::make_unique<Delivery>(Delivery{this, std::move(answer)});
  Delivery* delivery = made.get();
  deliveries_.emplace(delivery, std::move(made));
  const rap_result result = mesh_.deliver(host.raw, stream->get(), &given,
                                          mesh_taken<Delivery, &Delivery::taken>, delivery);
  if (result == RAP_PENDING) {
    (void)stream->release();  // M4
    return;
  }
  const bool full = result == RAP_E_BUSY;
  delivery->answer(fail(full ? Errc::exhausted : Errc::internal,
                        full ? "too many sessions are being opened; try again" : "not taken"));
  deliveries_.erase(delivery);
}

void CoreAdapter::Delivery::taken(rap_result result, std::string_view code,
                                  std::string_view detail) {
  Status status;
  if (result != RAP_OK) status = fail(errc_from_name(code), std::string(detail));
  answer(status);
  self->deliveries_.erase(this);
}

std::function<void(Result<Fd>)> CoreAdapter::answering(MeshAnswer answer) {
  return [this, answer](Result<Fd> got) {
    const auto kept = std::make_shared<Result<Fd>>(std::move(got));
    queue_.post([answer, kept] {
      if (*kept) return answer.done((**kept).release());
      answer.failed(result_of(kept->error().code), kept->error().detail);
    });
  };
}

void CoreAdapter::dial(const rap_mesh_dial& want, MeshAnswer answer) {
  if (shared_ == nullptr) throw Failure(RAP_E_STATE, "not started");
  shared_->thread().post([dials = dials_.get(), host_name = std::string(view(want.host)),
                          port = static_cast<std::uint16_t>(want.port),
                          share = std::string(view(want.organization)),
                          timeout = timeout_of(want.timeout_ms), done = answering(answer)] {
    dials->tasks.spawn("dial", Dials::run(*dials, host_name, port, timeout, share, done));
  });
}

void CoreAdapter::open_mesh(const rap_mesh_open& want, MeshAnswer answer) {
  if (shared_ == nullptr || !shared_->has_mesh()) throw Failure(RAP_E_STATE, "no mesh yet");
  if (want.organization.len != 0) {
    throw Failure(RAP_E_UNSUPPORTED, "an organization's streams come from its people");
  }
  const auto channel_class = want.channel_class == RAP_MESH_BULK
                                 ? routing::ChannelClass::bulk
                                 : routing::ChannelClass::interactive;
  shared_->on_mesh([target = std::string(view(want.target)), channel_class,
                    timeout = timeout_of(want.timeout_ms), done = answering(answer)](Mesh& mesh) {
    mesh.open(target, channel_class, timeout, done);
  });
}

// ---- what it tells ----

void CoreAdapter::report(const std::string& json) {
  const rap_result told = mesh_.report(host.raw, borrow(json));
  if (told != RAP_OK) log::error("mesh: a report was not taken", {{"code", int{told}}});
}

void CoreAdapter::health_changed() {
  queue_.post([this] {
    const auto* table = host.find<rap_host_health_1>();
    if (table == nullptr) return;
    rap_health now{};
    now.size = sizeof now;
    health(now);
    table->report(host.raw, &now);
  });
}

void CoreAdapter::health(rap_health& out) {
  if (shared_ == nullptr) return;
  const Picture now = shared_->board().read();
  metrics_.record(now);
  // With it the node ends, and what it carries for the other roles.
  const std::size_t open = now.sessions + (draining_ ? now.entered + now.relayed : 0);
  out.streams = open_streams(open, draining_ && shared_->has_mesh(), now.core_drains);
  std::string trouble = trouble_.empty() ? now.trouble : trouble_;
  if (trouble.empty() && !now.ready) trouble = "waits for its certificate and directory";
  if (trouble.empty() && now.alone) trouble = "no other node is linked";
  tell(out, trouble, fmt::format("{} peers, {}", now.peers, now.health));
}

// ---- the end ----

void CoreAdapter::drain(std::uint64_t deadline_ms) {
  if (shared_ == nullptr) return;
  draining_ = true;
  const net::milliseconds grace(
      static_cast<std::int64_t>(std::min<std::uint64_t>(deadline_ms, 24ull * 3600 * 1000)));
  shared_->on_mesh([grace](Mesh& mesh) { mesh.drain(grace); });
}

void CoreAdapter::stop() {
  if (shared_ == nullptr) return;
  queue_.close();
  shared_->end_mesh();
  shared_->thread().run(dials_->tasks.drain(net::milliseconds(0)));
  dials_.reset();
  log::set_sink({});
  deliveries_.clear();
  shared_.reset();
}

}  // namespace rap::mesh
