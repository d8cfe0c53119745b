// The agent's certificate: renewed at half life, and after it ended taken from `enroll`.
#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/log.hpp"
#include "base/net/timer.hpp"
#include "host/agent/control/enroll.hpp"
#include "host/agent/control/join_token.hpp"
#include "host/agent/run/agent.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

constexpr net::milliseconds kCallDeadline{20'000};
// How soon a renewed enrollment is noticed; a small file is read, and only by a node without a
// certificate.
constexpr net::milliseconds kEnrollmentLook{3'000};

}  // namespace

Result<ServerAddress> server_of(const Config& config, const Identity& identity) {
  ServerAddress out;
  out.base_url = config.server.empty() ? identity.server : config.server;
  while (out.base_url.ends_with('/')) out.base_url.pop_back();
  auto pin = parse_pin(identity.pin);
  if (!pin) return fail(pin.error(), "identity");
  out.pin = *pin;
  return out;
}

std::optional<std::string> Agent::certificate_trouble() const {
  const SystemTime now = RealClock().now();
  const auto ended = certificate_ended(identity_, now);
  if (!ended) return std::nullopt;
  return how_to_renew(*ended, now);
}

net::Task<Status> Agent::renew_certificate() {
  auto csr = net::make_csr_pem(identity_.key_pem, identity_.node_id);
  if (!csr) co_return fail(std::move(csr.error()));
  const json::object body{{"csr_pem", *csr}};
  auto answer = co_await control_.post("/v1/node/certificate", body, kCallDeadline);
  if (!answer) co_return fail(std::move(answer.error()));
  const json::object* object = answer->if_object();
  auto pem = object ? json_string_or_none(*object, "certificate_pem") : std::nullopt;
  if (!pem) co_return fail(Errc::malformed, "certificate: want certificate_pem");
  Identity next = identity_;
  next.certificate_pem = std::move(*pem);
  if (Status good = check_node_certificate(next, RealClock().now()); !good) co_return good;
  // On disk before in use: after a crash the old one is still good for half its life.
  if (Status written = write_identity(context_.state.identity(), next); !written) co_return written;
  co_return use_identity(std::move(next));
}

Status Agent::use_identity(Identity next) {
  auto server = server_of(context_.config, next);
  if (!server) return fail(std::move(server.error()));
  server_ = std::move(*server);
  identity_ = std::move(next);
  if (Status ready = control_.connect_to(server_, tls_identity()); !ready) return ready;
  configure_listener();
  return {};
}

bool Agent::take_enrollment() {
  auto stored = read_identity(context_.state.identity());
  if (!stored || stored->certificate_pem == identity_.certificate_pem) return false;
  if (stored->node_id != identity_.node_id || stored->cluster_id != identity_.cluster_id) {
    return false;  // another node: not for this agent, which has the sessions of the old one
  }
  if (!check_node_certificate(*stored, RealClock().now())) return false;
  if (Status used = use_identity(std::move(*stored)); !used) {
    log::error("renewed enrollment cannot be used", {{"detail", used.error().text()}});
    return false;
  }
  log::info("enrollment renewed; the certificate is in use");
  sync_wanted_.set();
  beat_now_.set();
  return true;
}

net::Task<void> Agent::wait_for_enrollment(net::milliseconds longest) {
  for (net::milliseconds waited{0}; waited < longest; waited += kEnrollmentLook) {
    const auto pause = std::min<net::milliseconds>(longest - waited, kEnrollmentLook);
    co_await net::sleep_for(pause);
    if (certificate_trouble() && take_enrollment()) co_return;
  }
}

net::Task<void> Agent::rotation_loop() {
  Backoff backoff(seconds(10), seconds(600));
  while (true) {
    auto certificate = net::parse_certificate_pem(identity_.certificate_pem);
    if (!certificate) {
      log::error("own certificate does not parse", {{"detail", certificate.error().text()}});
      co_return;
    }
    // At half life, give or take a twentieth, so that nodes that joined together do not renew
    // together.
    const auto life = certificate->not_after - certificate->not_before;
    const auto jitter = life / 20 * (random_bytes(1).front() - 128) / 128;
    const auto due = certificate->not_before + life / 2 + jitter;
    const auto wait = std::chrono::duration_cast<net::milliseconds>(due - RealClock().now());
    // Looks at the clock again every hour: a host that slept has another time now.
    if (wait > net::milliseconds(0)) {
      co_await net::sleep_for(std::min<net::milliseconds>(wait, std::chrono::hours(1)));
      continue;
    }
    Status renewed = co_await renew_certificate();
    if (renewed) {
      ++context_.counters.certificates_renewed;
      log::info("certificate renewed");
      backoff.reset();
      continue;
    }
    log::warn("certificate not renewed",
              {{"detail", certificate_trouble().value_or(renewed.error().text())}});
    const auto pause = backoff.next(random_bytes(1).front() * 7919u);
    co_await wait_for_enrollment(pause);
  }
}

}  // namespace rap::agent
