#include "fabric/ends/service_end.hpp"

#include "base/log.hpp"
#include "base/net/timer.hpp"
#include "base/net/tls.hpp"
#include "base/secret.hpp"
#include "fabric/ends/lease_line.hpp"
#include "fabric/mesh_names.hpp"

namespace rap::fabric {

using net::NetError;
using net::Task;
using resume::ResumableStreamPtr;

namespace {

constexpr std::string_view kAlpn = "rap-session";

struct Service {
  Service(std::string name, std::string org, net::TlsServerContext context,
          std::unique_ptr<resume::ResumeRegistry> joins)
      : id(std::move(name)),
        organization(std::move(org)),
        tls(std::move(context)),
        registry(std::move(joins)) {}

  const std::string id;
  const std::string organization;
  net::TlsServerContext tls;
  // One for each service, so that nobody resumes over one what was opened over another.
  const std::unique_ptr<resume::ResumeRegistry> registry;
  std::optional<LeaseVerifier> verifier;
  std::size_t pending = 0;
  bool removed = false;
};

}  // namespace

struct ServiceEnd::State {
  struct Open {
    std::string session;
    const Service* service = nullptr;
    net::ByteStream* stream = nullptr;  // owned by whoever it was handed up to
  };

  explicit State(Setup from) : setup(std::move(from)), replays() {}

  Setup setup;
  std::vector<LeaseKey> keys;
  std::map<std::string, std::shared_ptr<Service>, std::less<>> services;
  LeaseReplayGuard replays;
  std::size_t pending = 0;
  std::map<std::uint64_t, Open> open;
  std::uint64_t next = 0;
  std::uint64_t opened = 0;
  std::uint64_t resumed = 0;
  std::map<std::string, std::uint64_t> refused;

  template <typename Which>
  void close_streams(Which which) {
    for (const auto& [number, entry] : open) {
      if (which(entry)) entry.stream->close();
    }
  }

  Result<LeaseVerifier> verifier_of(const std::string& service) const {
    return LeaseVerifier::create(setup.cluster_id, service_spiffe(setup.cluster_id, service), keys);
  }

  Result<LeaseClaims> authorize(const Service& service, std::string_view line,
                                const Sha256Digest& certificate) {
    const auto lease = parse_lease_line(line);
    if (!lease) return fail(lease.error());
    const SystemTime now = setup.clock->now();
    auto claims = service.verifier->verify(*lease, certificate, now);
    if (!claims) return claims;
    if (claims->organization_id != service.organization) {
      return fail(Errc::mismatch, "lease: of another organization");
    }
    if (open.size() >= setup.limits.streams_max) {
      return fail(Errc::exhausted, "the node has no room for another stream");
    }
    const Status fresh = replays.use(*claims, now);
    if (!fresh) return fail(fresh.error());
    return claims;
  }
};

namespace {

using StatePtr = std::shared_ptr<ServiceEnd::State>;
using ServicePtr = std::shared_ptr<Service>;

// Keeps a place among the transports that have shown nothing yet.
struct Pending {
  StatePtr state;
  ServicePtr service;
  Pending(StatePtr s, ServicePtr of) : state(std::move(s)), service(std::move(of)) {
    ++state->pending;
    ++service->pending;
  }
  ~Pending() {
    --state->pending;
    --service->pending;
  }
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
};

// What the handler gets: findable, so that it can be closed.
class SessionStream final : public net::ByteStream {
 public:
  SessionStream(StatePtr state, ServicePtr service, std::string session, ResumableStreamPtr stream)
      : state_(std::move(state)),
        service_(std::move(service)),
        stream_(std::move(stream)),
        number_(state_->next++) {
    state_->open.emplace(
        number_, ServiceEnd::State::Open{std::move(session), service_.get(), stream_.get()});
  }
  ~SessionStream() override { state_->open.erase(number_); }

  Task<std::size_t> read_some(std::span<std::uint8_t> into) override {
    return stream_->read_some(into);
  }
  Task<void> write_all(ByteView bytes) override { return stream_->write_all(bytes); }
  Task<void> shutdown() override { return stream_->shutdown(); }
  void close() override { stream_->close(); }

 private:
  StatePtr state_;
  ServicePtr service_;
  ResumableStreamPtr stream_;
  std::uint64_t number_;
};

class Incoming final : public IncomingSession {
 public:
  Incoming(std::unique_ptr<SessionStream> stream, LeaseClaims claims, std::string service)
      : stream_(std::move(stream)), claims_(std::move(claims)), service_(std::move(service)) {}

  const LeaseClaims& claims() const override { return claims_; }
  const std::string& service() const override { return service_; }

  Task<net::ByteStreamPtr> accept() override {
    auto stream = std::move(stream_);
    const std::string line = answer_line({});
    co_await stream->write_all(as_bytes(line));
    co_return net::ByteStreamPtr(std::move(stream));
  }

  Task<void> refuse(Error error) override {
    const auto stream = std::move(stream_);
    const std::string line = answer_line(fail(std::move(error)));
    co_await stream->write_all(as_bytes(line));
    co_await stream->shutdown();  // it lingers until that has arrived
  }

 private:
  std::unique_ptr<SessionStream> stream_;
  LeaseClaims claims_;
  std::string service_;
};

void count_refusal(ServiceEnd::State& state, const Service& service, std::string_view reason,
                   std::string_view detail) {
  ++state.refused[std::string(reason)];
  log::info("mesh stream refused", {{"service", service.id}, {"error", detail}});
}

Task<void> send_refusal(resume::ResumableStream& stream, Error error) {
  const std::string line = answer_line(fail(std::move(error)));
  co_await stream.write_all(as_bytes(line));
  co_await stream.shutdown();
}

// From raw bytes to an authorized session; null when there is none, or when the transport went to
// a stream that was there.
Task<std::unique_ptr<IncomingSession>> establish(StatePtr state, ServicePtr service,
                                                 net::ByteStreamPtr transport) {
  const Pending pending(state, service);
  const ServiceEndLimits& limits = state->setup.limits;
  auto secured =
      co_await net::accept_tls(std::move(transport), service->tls, limits.handshake_timeout);
  const Sha256Digest certificate = secured->peer_certificate()->sha256;
  if (service->removed) co_return nullptr;
  net::ByteStreamPtr inner = std::move(secured);
  auto joined = co_await service->registry->accept(std::move(inner), certificate);
  if (!joined) {
    count_refusal(*state, *service, name(joined.error().code), joined.error().text());
    co_return nullptr;
  }
  if (!*joined) {
    ++state->resumed;
    co_return nullptr;
  }
  ResumableStreamPtr stream = std::move(*joined);
  const std::string line =
      co_await net::with_deadline(read_line(*stream, kLeaseLineMax), limits.lease_timeout);
  if (service->removed) co_return nullptr;
  auto claims = state->authorize(*service, line, certificate);
  if (!claims) {
    count_refusal(*state, *service, name(claims.error().code), claims.error().text());
    co_await send_refusal(*stream, claims.error());
    co_return nullptr;
  }
  ++state->opened;
  auto session =
      std::make_unique<SessionStream>(state, service, claims->session_id, std::move(stream));
  co_return std::make_unique<Incoming>(std::move(session), std::move(*claims), service->id);
}

Task<void> serve_transport(StatePtr state, ServicePtr service, net::ByteStreamPtr transport) {
  std::unique_ptr<IncomingSession> session;
  try {
    session = co_await establish(state, service, std::move(transport));
  } catch (const NetError& error) {
    if (error.code() == Errc::cancelled) throw;
    count_refusal(*state, *service, name(error.code()), error.what());
  }
  if (!session) co_return;
  co_await state->setup.handler(std::move(session));
}

}  // namespace

ServiceEnd::ServiceEnd(net::asio::any_io_executor executor, Setup setup)
    : executor_(std::move(executor)),
      state_(std::make_shared<State>(std::move(setup))),
      tasks_(executor_) {}

ServiceEnd::~ServiceEnd() = default;

Status ServiceEnd::set_service(ServiceConfig config) {
  const MeshTarget target{MeshTarget::Kind::service, config.service};
  const std::string uri = target_spiffe(state_->setup.cluster_id, target);
  if (target_of_spiffe(state_->setup.cluster_id, uri) != target || config.organization_id.empty()) {
    return fail(Errc::invalid, "service: id, organization");
  }
  const auto facts = net::parse_certificate_pem(config.identity.certificate_pem);
  if (!facts) return fail(facts.error(), "service " + config.service);
  if (facts->spiffe_uri != uri) {
    return fail(Errc::mismatch,
                "service " + config.service + ": the certificate is of " + facts->spiffe_uri);
  }
  const auto found = state_->services.find(config.service);
  if (found != state_->services.end()) {
    if (found->second->organization != config.organization_id) {
      return fail(Errc::mismatch, "service " + config.service + ": of another organization");
    }
    Status done = found->second->tls.set_identity(config.identity);
    wipe(config.identity.key_pem);
    return done;
  }
  if (state_->services.size() >= state_->setup.limits.services_max) {
    return fail(Errc::exhausted, "services: too many on this node");
  }
  net::TlsServerOptions options;
  options.identity = std::move(config.identity);
  options.clients = net::AnyClientCertificate{};  // the lease names it
  options.alpn.emplace_back(kAlpn);
  auto tls = net::TlsServerContext::create(options);
  wipe(options.identity.key_pem);
  if (!tls) return fail(tls.error(), "service " + config.service);
  auto verifier = state_->verifier_of(config.service);
  if (!verifier) return fail(verifier.error());
  auto registry = std::make_unique<resume::ResumeRegistry>(
      executor_, state_->setup.resume, state_->setup.registry, *state_->setup.resume_clock);
  auto service = std::make_shared<Service>(config.service, std::move(config.organization_id),
                                           std::move(*tls), std::move(registry));
  service->verifier = std::move(*verifier);
  state_->services.emplace(config.service, std::move(service));
  return {};
}

void ServiceEnd::remove_service(std::string_view service) {
  const auto found = state_->services.find(service);
  if (found == state_->services.end()) return;
  const auto gone = found->second;
  state_->services.erase(found);
  gone->removed = true;
  state_->close_streams([&](const State::Open& open) { return open.service == gone.get(); });
  gone->registry->close_all();
}

Status ServiceEnd::set_lease_keys(const std::vector<LeaseKey>& keys) {
  const auto checked = JwsKeys::create(keys);
  if (!checked) return fail(checked.error());
  state_->keys = keys;
  for (const auto& [id, service] : state_->services) {
    auto verifier = state_->verifier_of(id);
    if (!verifier) return fail(verifier.error());
    service->verifier = std::move(*verifier);
  }
  return {};
}

Status ServiceEnd::admits(std::string_view service, std::string_view organization) const {
  const auto found = state_->services.find(service);
  if (found == state_->services.end()) return fail(Errc::not_found, "no such service here");
  if (found->second->organization != organization) {
    return fail(Errc::mismatch, "the service is another organization's");
  }
  const ServiceEndLimits& limits = state_->setup.limits;
  if (found->second->pending >= limits.pending_of_service_max ||
      state_->pending >= limits.pending_max) {
    return fail(Errc::exhausted, "too many streams are being opened; try again");
  }
  return {};
}

void ServiceEnd::serve(net::ByteStreamPtr transport, std::string service) {
  const auto found = state_->services.find(service);
  if (found == state_->services.end()) {
    transport->close();
    return;
  }
  const Status room = admits(service, found->second->organization);
  if (!room) {
    count_refusal(*state_, *found->second, name(room.error().code), room.error().text());
    transport->close();
    return;
  }
  tasks_.spawn("mesh stream", serve_transport(state_, found->second, std::move(transport)));
}

void ServiceEnd::close_session(std::string_view session_id) {
  state_->close_streams([&](const State::Open& open) { return open.session == session_id; });
}

void ServiceEnd::close_organization(std::string_view organization_id) {
  state_->close_streams(
      [&](const State::Open& open) { return open.service->organization == organization_id; });
  for (const auto& [id, service] : state_->services) {
    if (service->organization == organization_id) service->registry->close_all();
  }
}

ServiceEndCounts ServiceEnd::counts() const {
  ServiceEndCounts out;
  out.services = state_->services.size();
  out.pending = state_->pending;
  out.streams = state_->open.size();
  out.opened = state_->opened;
  out.resumed = state_->resumed;
  out.refused = state_->refused;
  return out;
}

Task<void> ServiceEnd::drain(net::milliseconds grace) {
  co_await tasks_.drain(grace);
}

}  // namespace rap::fabric
