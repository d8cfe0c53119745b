#include "host/agent/session/broker.hpp"

#include <boost/json.hpp>

#include "base/clock.hpp"
#include "base/crypto.hpp"
#include "base/id.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/net/timer.hpp"
#include "base/secret.hpp"
#include "host/agent/supervise/workload_port.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;

constexpr net::milliseconds kReadyLimit{10'000};  // a worker that is just being started
// The listener makes 64 connections at a time for the whole node. A target that does not answer
// holds one for up to 30 s, and may be its organization's own doing.
constexpr int kDialsOfOrganizationMax = 16;
constexpr net::milliseconds kSecretDeadline{10'000};
constexpr std::string_view kBarred = "you may not use the sessions of this organization any more";
// What a session said last may still wait in the mesh for a client whose path just died; its worker
// is gone, so nobody can do anything with the stream but read that.
constexpr net::milliseconds kLastWords{10'000};
constexpr net::milliseconds kCloseGrace{4'000};  // a worker exits within 2 s after closing

}  // namespace

std::string session_instance_name(const std::string& session) {
  return "s-" + to_hex(sha256(session)).substr(0, 16);
}

Result<StreamClaims> parse_stream_claims(const json::object& claims) {
  StreamClaims out;
  for (const auto& [key, into] :
       {std::pair{"sid", &out.session}, std::pair{"org", &out.organization},
        std::pair{"res", &out.resource}, std::pair{"sub", &out.user_id},
        std::pair{"name", &out.user_name}, std::pair{"mode", &out.mode}}) {
    auto text = json_string(claims, key);
    if (!text) return fail(text.error(), "lease");
    if (text->size() > 256) return fail(Errc::invalid, std::string("lease: ") + key);
    *into = std::move(*text);
  }
  if (!SessionId::parse(out.session)) return fail(Errc::invalid, "lease: sid");
  if (out.mode != "control" && out.mode != "view") return fail(Errc::invalid, "lease: mode");
  const std::string verb = json_string_or_none(claims, "verb").value_or("");
  if (verb != "open" && verb != "attach") return fail(Errc::invalid, "lease: verb");
  out.verb = verb == "open" ? StreamClaims::Verb::open : StreamClaims::Verb::attach;
  return out;
}

Result<Resource> check_stream(const StreamClaims& claims, const Applied& applied, SystemTime now) {
  if (applied.membership.status != NodeStatus::active) {
    return fail(Errc::forbidden, "this node is not active in its cluster");
  }
  // Whoever lost a right meanwhile may still hold a key that signs leases.
  if (applied.director_expires <= now) {
    return fail(Errc::unavailable, "this node has not heard from its control plane since before " +
                                       to_rfc3339(applied.director_expires));
  }
  const auto found = applied.access.resources.find(claims.resource);
  if (found == applied.access.resources.end()) {
    return fail(Errc::not_found, "this node does not serve that resource");
  }
  if (found->second.organization_id != claims.organization) {
    return fail(Errc::forbidden, "the resource is another organization's");
  }
  return found->second;
}

Status check_service(const json::object& claims, const StreamClaims& stream, const MeshKeys& keys,
                     const std::string& cluster_id) {
  const auto key = keys.all().find(MeshUse{MeshPurpose::service, stream.organization});
  if (key == keys.all().end() || key->second.service_id.empty()) {
    return fail(Errc::forbidden, "this node is no service of that organization");
  }
  const std::string audience = "spiffe://" + cluster_id + "/service/" + key->second.service_id;
  if (json_string_or_none(claims, "iss") != cluster_id ||
      json_string_or_none(claims, "aud") != audience) {
    return fail(Errc::forbidden, "the lease is for another service");
  }
  return {};
}

SessionBroker::SessionBroker(Parts parts) : parts_(std::move(parts)) {}

void SessionBroker::on_stream(std::int64_t id, ipc::JsonPtr claims, std::string from, Fd stream) {
  const auto answer = [this, id](const Status& taken) {
    if (taken) {
      parts_.listener.accept(id);
    } else {
      parts_.listener.refuse(id, taken.error());
    }
  };
  MeshStream given{std::move(claims), std::move(from), std::move(stream), answer};
  parts_.context.tasks.spawn("stream", serve(*this, std::move(given)));
}

void SessionBroker::on_mesh_stream(MeshStream stream) {
  if (Status meant = check_mesh(stream); !meant) {
    ++parts_.context.counters.streams_refused;
    log::warn("stream of the mesh refused", {{"detail", meant.error().text()}});
    return stream.answer(meant);
  }
  parts_.context.tasks.spawn("stream", serve(*this, std::move(stream)));
}

Status SessionBroker::check_mesh(const MeshStream& stream) const {
  auto claims = parse_stream_claims(*stream.claims);
  if (!claims) return fail(std::move(claims.error()));
  const MeshHandPtr hand = parts_.identities ? parts_.identities() : nullptr;
  const AppliedPtr applied = parts_.applied();
  if (hand == nullptr || applied == nullptr) return fail(Errc::unavailable, "no service yet");
  return check_service(*stream.claims, *claims, hand->keys, applied->membership.cluster_id);
}

net::Task<void> SessionBroker::serve(SessionBroker& self, MeshStream stream) {
  Status routed = co_await self.route(std::move(stream.claims), std::move(stream.from),
                                      std::move(stream.stream));
  if (!routed) {
    ++self.parts_.context.counters.streams_refused;
    log::warn("stream refused", {{"detail", routed.error().text()}});
  }
  stream.answer(routed);
}

net::Task<Status> SessionBroker::route(ipc::JsonPtr raw, std::string from, Fd stream) {
  if (stopping_) co_return fail(Errc::unavailable, "this node is stopping");
  auto claims = parse_stream_claims(*raw);
  if (!claims) co_return fail(std::move(claims.error()));
  AppliedPtr applied = parts_.applied();
  if (applied == nullptr) co_return fail(Errc::unavailable, "this node has no snapshot yet");
  auto resource = check_stream(*claims, *applied, RealClock().now());
  if (!resource && resource.error().code == Errc::not_found) {
    // It may be newer than what this node knows: ask once.
    const bool reached = co_await parts_.refresh();
    if (reached) {
      applied = parts_.applied();
      resource = check_stream(*claims, *applied, RealClock().now());
    }
  }
  if (!resource) {
    if (claims->verb == StreamClaims::Verb::open) tell_refused(*claims, resource.error());
    co_return fail(std::move(resource.error()));
  }

  std::shared_ptr<Session> session;
  if (const auto found = sessions_.find(claims->session); found != sessions_.end()) {
    session = found->second;
    if (session->record().organization != claims->organization ||
        session->record().resource != claims->resource) {
      co_return fail(Errc::forbidden, "the session is for another resource");
    }
  } else if (claims->verb == StreamClaims::Verb::attach) {
    co_return fail(Errc::not_found, "the session does not exist any more");
  } else {
    bool begun = false;
    auto created = co_await create(*claims, *resource, begun);
    if (!created) {
      if (!begun) tell_refused(*claims, created.error());
      co_return fail(std::move(created.error()));
    }
    session = std::move(*created);
  }
  if (barred_.contains({claims->session, claims->user_id})) {
    co_return fail(Errc::forbidden, std::string(kBarred));
  }
  json::object body{{"op", "attach"},
                    {"attach_id", new_id_text("att_")},
                    {"mode", claims->mode},
                    {"user_id", claims->user_id},
                    {"user_name", claims->user_name},
                    {"from", from}};
  co_return co_await session->attach(std::move(body), std::move(stream));
}

net::Task<Result<std::shared_ptr<Session>>> SessionBroker::create(StreamClaims claims,
                                                                  Resource resource, bool& begun) {
  Context& context = parts_.context;
  Status room = check_room(room_for(resource.organization_id));
  if (!room) co_return fail(std::move(room.error()));
  auto zygote = parts_.workloads.find(resource.role, resource.organization_id);
  if (!zygote) co_return fail(std::move(zygote.error()));
  if (!opening_.emplace(claims.session, resource.organization_id).second) {
    co_return fail(Errc::conflict, "the session is being opened already");
  }
  struct Unmark {
    std::map<std::string, std::string>& all;
    const std::string& name;
    ~Unmark() { all.erase(name); }
  } unmark{opening_, claims.session};

  const bool ready = co_await (*zygote)->wait_ready(kReadyLimit);
  if (!ready) {
    co_return fail(Errc::unavailable, "the worker is not ready: " + (*zygote)->detail());
  }
  InstanceRecord record;
  record.name = session_instance_name(claims.session);
  record.kind = InstanceKind::session;
  record.nonce = new_nonce();
  record.digest = (*zygote)->spec().digest();
  record.organization = resource.organization_id;
  record.session = claims.session;
  record.opened_unix_s = to_unix_seconds(RealClock().now());
  record.resource = resource.resource_id;
  record.zygote = (*zygote)->name();
  record.product = (*zygote)->spec().release.manifest.product;
  record.version = (*zygote)->spec().release.manifest.version;
  record.adapter = (*zygote)->spec().adapter.id;
  auto session = std::make_shared<Session>(context, parts_.events, powers(), std::move(record));
  auto listening = session->prepare();
  if (!listening) co_return fail(std::move(listening.error()));
  auto pidfd = co_await (*zygote)->fork(claims.session, std::move(*listening));
  if (!pidfd) {
    session->forget();
    co_return fail(pidfd.error(), "session worker");
  }
  auto options = parse_json(resource.options_json);
  json::object open{{"op", "open"},
                    {"session", claims.session},
                    {"organization", resource.organization_id},
                    {"resource", resource.resource_id},
                    {"target", resource.resource_id},
                    {"secret_ref", resource.secret_ref},
                    {"options", options ? std::move(*options) : json::value(json::object{})},
                    {"cols", 80},
                    {"rows", 24}};
  // Known before it is open: its first requests come while it opens.
  begun = true;
  sessions_[claims.session] = session;
  Status opened = co_await session->open(std::move(*pidfd), std::move(open));
  context.tasks.spawn("session", Session::watch(session));
  if (!opened) {
    co_await session->terminate(net::milliseconds(0));
    co_return fail(std::move(opened.error()));
  }
  ++context.counters.sessions_opened;
  co_return session;
}

void SessionBroker::tell_refused(const StreamClaims& claims, const Error& why) {
  // Another stream opens it, or has.
  if (opening_.contains(claims.session) || sessions_.contains(claims.session)) return;
  json::object event{{"event_id", event_id_of(claims.session, "refused", 0)},
                     {"session_id", claims.session},
                     {"kind", "state"},
                     {"state", "failed"},
                     {"detail", why.detail},
                     {"at", to_rfc3339(RealClock().now())}};
  (void)parts_.events.keep(event);  // a failure is logged there; it fails by itself in a minute
}

Room SessionBroker::room_for(const std::string& organization) const {
  Room out;
  out.sessions_max = parts_.context.config.sessions_max;
  std::set<std::string> served;
  for (const auto& [id, resource] : parts_.applied()->access.resources) {
    served.insert(resource.organization_id);
  }
  out.organizations = served.size();
  const auto count = [&](const std::string& of) {
    ++out.held;
    out.of_organization += of == organization;
  };
  for (const auto& [id, session] : sessions_) count(session->record().organization);
  for (const auto& [id, of] : opening_) {
    if (!sessions_.contains(id)) count(of);  // it is in both while its worker opens
  }
  return out;
}

Session::Powers SessionBroker::powers() {
  Session::Powers out;
  out.target = [this](const std::string& resource,
                      const std::string& organization) -> Result<SessionTarget> {
    const AppliedPtr applied = parts_.applied();
    if (applied == nullptr) return fail(Errc::unavailable, "no snapshot");
    const auto found = applied->access.resources.find(resource);
    if (found == applied->access.resources.end() || found->second.organization_id != organization) {
      return fail(Errc::forbidden, "the resource is no longer served by this node");
    }
    return SessionTarget{found->second.host, found->second.port, found->second.secret_ref};
  };
  out.dial = [this](std::string organization, std::string host, std::uint16_t port,
                    net::milliseconds limit) {
    return dial(*this, std::move(organization), std::move(host), port, limit);
  };
  out.secret = [this](std::string session, std::string ref) {
    return secret(*this, std::move(session), std::move(ref));
  };
  out.ended = [this](const std::string& session) { ended(session); };
  return out;
}

net::Task<Result<Fd>> SessionBroker::dial(SessionBroker& self, std::string organization,
                                          std::string host, std::uint16_t port,
                                          net::milliseconds limit) {
  struct Count {
    explicit Count(int& of) : now(of) { ++now; }
    ~Count() { --now; }
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;
    int& now;
  };
  // The map keeps an organization once seen: there are as many as this node serves.
  int& dialing = self.dialing_[organization];
  if (dialing >= kDialsOfOrganizationMax) {
    co_return fail(Errc::exhausted, "too many connections of this organization are being made");
  }
  const Count counted(dialing);
  if (const auto mesh = self.parts_.workloads.mesh(); mesh != nullptr && mesh->dials()) {
    co_return co_await mesh->dial(organization, host, port, limit);
  }
  co_return co_await self.parts_.listener.dial(organization, host, port, limit);
}

net::Task<Result<Fd>> SessionBroker::open_for_workload(SessionBroker& self, std::string role,
                                                       std::string organization, std::string target,
                                                       net::milliseconds limit) {
  const AppliedPtr applied = self.parts_.applied();
  if (applied == nullptr) co_return fail(Errc::unavailable, "no snapshot");
  auto resource = workload_target(*applied, role, organization, target);
  if (!resource) {
    ++self.parts_.context.counters.dials_refused;
    co_return fail(std::move(resource.error()));
  }
  auto socket = co_await dial(self, std::move(organization), resource->host, resource->port, limit);
  if (socket) ++self.parts_.context.counters.dials;
  co_return socket;
}

net::Task<Result<std::string>> SessionBroker::secret(SessionBroker& self, std::string session,
                                                     std::string ref) {
  json::object body{{"session_id", session}, {"secret_ref", ref}};
  auto answer =
      co_await self.parts_.control.post("/v1/node/secrets/resolve", body, kSecretDeadline);
  if (!answer) co_return fail(std::move(answer.error()));
  json::object* object = answer->if_object();
  json::value* value = object ? object->if_contains("value") : nullptr;
  if (value == nullptr || !value->is_string()) {
    co_return fail(Errc::malformed, "the control plane's answer has no value");
  }
  json::string& text = value->get_string();
  std::string out(text.data(), text.size());
  wipe(std::span(reinterpret_cast<std::uint8_t*>(text.data()), text.size()));
  co_return out;
}

void SessionBroker::adopt(InstanceRecord record) {
  auto session =
      std::make_shared<Session>(parts_.context, parts_.events, powers(), std::move(record));
  Status adopted = session->adopt();
  if (!adopted) {
    log::warn("session worker of an earlier agent is gone",
              {{"session", session->report().session_id}, {"detail", adopted.error().detail}});
    session->forget();
  }
  sessions_[session->record().session] = session;
  // Without a process it reports the loss and is gone.
  parts_.context.tasks.spawn("session", Session::watch(session));
}

net::Task<void> SessionBroker::close(std::string session, std::string by) {
  const auto found = sessions_.find(session);
  if (found != sessions_.end()) {
    const std::shared_ptr<Session> held = found->second;
    Status closed = co_await held->close("terminated", by);
    if (!closed) {
      log::warn("session does not close",
                {{"session", session}, {"detail", closed.error().text()}});
      co_await held->terminate(kCloseGrace);
    }
    co_return;
  }
  if (opening_.contains(session)) co_return;  // asked for again with the next answer
  json::object event{{"event_id", event_id_of(session, "absent", 0)},
                     {"session_id", session},
                     {"kind", "state"},
                     {"state", "closed"},
                     {"detail", "there is no such session on this node"},
                     {"at", to_rfc3339(RealClock().now())}};
  (void)parts_.events.keep(event);  // a failure is logged there, and the request comes again
}

void SessionBroker::bar(std::set<std::pair<std::string, std::string>> who) {
  barred_ = std::move(who);
  for (const auto& [session, user] : barred_) {
    const auto found = sessions_.find(session);
    if (found == sessions_.end() || !found->second->has(user)) continue;
    parts_.context.tasks.spawn("drop person",
                               Session::drop(found->second, user, std::string(kBarred)));
  }
}

void SessionBroker::session_exited(const std::string& session, const ExitInfo& how) {
  if (const auto found = sessions_.find(session); found != sessions_.end()) {
    found->second->note_exit(how);
  }
}

void SessionBroker::ended(const std::string& session) {
  sessions_.erase(session);
  parts_.workloads.session_ended();
  parts_.context.tasks.spawn("drop streams", drop_later(*this, session));
}

net::Task<void> SessionBroker::drop_later(SessionBroker& self, std::string session) {
  co_await net::sleep_for(kLastWords);
  // It may have been opened again: by a lease of the same session, after a worker that failed.
  if (!self.sessions_.contains(session)) self.parts_.workloads.drop_streams(session, "");
}

std::vector<SessionReport> SessionBroker::report() const {
  std::vector<SessionReport> out;
  for (const auto& [id, session] : sessions_) out.push_back(session->report());
  return out;
}

int SessionBroker::sessions_in(const std::string& zygote) const {
  int out = 0;
  for (const auto& [id, session] : sessions_) out += session->record().zygote == zygote;
  return out;
}

bool SessionBroker::knows(const std::string& session) const {
  const auto found = sessions_.find(session);
  return opening_.contains(session) || (found != sessions_.end() && found->second->running());
}

net::Task<void> SessionBroker::stop_all() {
  stopping_ = true;
  std::vector<std::shared_ptr<Session>> all;
  for (const auto& [id, session] : sessions_) all.push_back(session);
  for (const std::shared_ptr<Session>& session : all) {
    Status asked = co_await session->close("terminated", "node stop");
    if (!asked) log::warn("session does not close", {{"detail", asked.error().text()}});
  }
  for (const std::shared_ptr<Session>& session : all) co_await session->terminate(kCloseGrace);
}

}  // namespace rap::agent
