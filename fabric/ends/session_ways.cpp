#include "fabric/ends/session_ways.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/net/timer.hpp"
#include "fabric/ends/entry_dial.hpp"
#include "fabric/jws.hpp"
#include "fabric/names.hpp"

namespace rap::fabric {

using net::NetError;
using net::Task;

namespace {

constexpr std::size_t kEntriesMax = 16;  // each is tried within one try of 7 s
// An entry looks for a way for 5 s; its answer needs a round trip.
constexpr net::milliseconds kAnswerTimeout{5'500};
// The way is there: one round trip to the service, with a slow link's retransmissions.
constexpr net::milliseconds kInnerTimeout{3'000};
// The control plane is asked while somebody waits for a way.
constexpr net::milliseconds kRenewTimeout{2'000};
// Renewal begins an hour before the end: as long as a control plane may be away without notice.
constexpr std::chrono::seconds kRenewAhead{3'600};
constexpr std::chrono::seconds kRenewAgain{60};

// Another lease may help, another entry does not.
bool lease_is_over(const Error& error) {
  return error.code == Errc::expired;
}
// Every entry would say so.
bool is_final(const Error& error) {
  switch (error.code) {
    case Errc::unauthorized:
    case Errc::forbidden:
    case Errc::expired:
    case Errc::bad_signature:
    case Errc::mismatch:
    case Errc::malformed:
    case Errc::invalid:
      return true;
    default:
      return false;
  }
}

void plan_renewal(SessionWays& ways) {
  const auto left =
      std::chrono::duration_cast<std::chrono::seconds>(ways.carry.expires_at - ways.clock.now());
  ways.renew_at =
      ways.carry.expires_at - std::min(kRenewAhead, std::max(left, std::chrono::seconds(0)) / 4);
}

Task<net::ByteStreamPtr> over_entry(std::shared_ptr<SessionWays> ways, net::ByteStreamPtr entry) {
  auto executor = co_await net::asio::this_coro::executor;
  H2Limits limits;
  auto connection = H2Connection::make_client(executor, std::move(entry), limits);
  connection->start();
  MeshRequest asked;
  asked.target = MeshTarget{MeshTarget::Kind::service, ways->options.service};
  asked.carry = ways->carry.lease;
  asked.channel_class = ways->options.channel_class;
  ConnectRequest request = to_connect_request(asked);
  // The stream keeps the connection; without one it ends with this frame.
  ConnectAnswer answer =
      co_await net::with_deadline(connection->connect(std::move(request)), kAnswerTimeout);
  if (!answer.stream) throw NetError(read_refusal(answer).error);
  net::ExpectedPeer service =
      net::SpiffeId{service_spiffe(ways->options.cluster_id, ways->options.service)};
  net::TlsClientContext tls = ways->inner_tls;
  auto secured = co_await net::connect_tls(std::move(answer.stream), std::move(tls),
                                           std::move(service), kInnerTimeout);
  co_return net::ByteStreamPtr(std::move(secured));
}

Task<DialledEntry> dial(std::shared_ptr<SessionWays> ways, std::vector<std::size_t> order) {
  EntryDial wish{{}, ways->entry_tls, entry_spiffe(ways->options.cluster_id), ways->options.tcp};
  if (wish.tcp.not_sent_low_water == 0) wish.tcp.not_sent_low_water = kNotSentLowWater;
  for (const std::size_t index : order) wish.entries.push_back(ways->entries[index]);
  DialledEntry out = co_await dial_entry(std::move(wish));
  out.index = order[out.index];
  co_return out;
}

}  // namespace

SessionWays::SessionWays(MeshSessionOptions o, std::vector<net::HostPort> e,
                         net::TlsClientContext to_entry, net::TlsClientContext to_service,
                         const Clock& c, const net::asio::any_io_executor& executor)
    : options(std::move(o)),
      entries(std::move(e)),
      entry_tls(std::move(to_entry)),
      inner_tls(std::move(to_service)),
      clock(c),
      carry(options.carry),
      lost(executor) {
  plan_renewal(*this);
}

Result<std::shared_ptr<SessionWays>> SessionWays::create(
    MeshSessionOptions options, const Clock& clock, const net::asio::any_io_executor& executor) {
  if (options.entries.empty() || options.entries.size() > kEntriesMax) {
    return fail(Errc::invalid, "entries: 1 to 16");
  }
  const MeshTarget target{MeshTarget::Kind::service, options.service};
  if (mesh_target_of_authority(mesh_authority(target)) != target) {
    return fail(Errc::invalid, "service");
  }
  const auto fits = [](const std::string& lease) {
    return !lease.empty() && lease.size() <= kLeaseBytesMax;
  };
  if (!fits(options.lease) || !fits(options.carry.lease)) return fail(Errc::invalid, "lease");
  std::vector<net::HostPort> entries;
  for (const std::string& text : options.entries) {
    auto address = net::parse_host_port(text);
    if (!address) return fail(address.error(), "entry");
    entries.push_back(std::move(*address));
  }
  net::TlsClientOptions tls;
  tls.trust = net::TrustCa{options.cluster_ca_pem};
  tls.identity = options.identity;
  tls.alpn = {"h2"};
  auto entry_tls = net::TlsClientContext::create(tls);
  if (!entry_tls) return fail(entry_tls.error());
  tls.alpn = {"rap-session"};
  auto inner_tls = net::TlsClientContext::create(tls);
  if (!inner_tls) return fail(inner_tls.error());
  return std::make_shared<SessionWays>(std::move(options), std::move(entries),
                                       std::move(*entry_tls), std::move(*inner_tls), clock,
                                       executor);
}

Task<void> renew_carry(std::shared_ptr<SessionWays> ways) {
  if (!ways->options.renew || ways->renewing) co_return;
  struct Renewing {
    bool& flag;
    explicit Renewing(bool& f) : flag(f) { flag = true; }
    ~Renewing() { flag = false; }
  } renewing(ways->renewing);
  // Whatever comes of it, the next try is not at once.
  ways->renew_at = ways->clock.now() + kRenewAgain;
  std::optional<Error> failed;
  try {
    auto grant = co_await net::with_deadline(ways->options.renew(), kRenewTimeout);
    if (grant) {
      ways->carry = std::move(*grant);
      plan_renewal(*ways);
      co_return;
    }
    failed = grant.error();
  } catch (const NetError& error) {
    if (error.code() == Errc::cancelled) throw;
    failed = error.error();
  }
  log::debug("carry lease not renewed", {{"error", failed->text()}});
}

Task<net::ByteStreamPtr> open_way(std::shared_ptr<SessionWays> ways) {
  if (ways->opened) ways->lost.set();
  if (ways->carry.expires_at <= ways->clock.now()) co_await renew_carry(ways);
  std::vector<std::size_t> order(ways->entries.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = (ways->first + i) % order.size();
  // If this try is cancelled because it hangs, the next one begins elsewhere.
  ways->first = (ways->first + 1) % ways->entries.size();
  bool renewed = false;
  std::optional<Error> last;
  while (!order.empty()) {
    DialledEntry entry = co_await dial(ways, order);
    const std::size_t index = entry.index;
    try {
      net::ByteStreamPtr stream = std::move(entry.stream);
      net::ByteStreamPtr way = co_await over_entry(ways, std::move(stream));
      ways->first = index;
      co_return way;
    } catch (const NetError& error) {
      if (error.code() == Errc::cancelled) throw;
      last = error.error();
    }
    if (lease_is_over(*last) && !renewed && ways->options.renew) {
      renewed = true;
      co_await renew_carry(ways);
      continue;
    }
    if (is_final(*last)) break;
    std::erase(order, index);
  }
  throw NetError(*last);
}

}  // namespace rap::fabric
