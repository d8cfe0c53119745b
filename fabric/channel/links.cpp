// Links that are there: who they are, what comes on them, how they end.
#include "base/log.hpp"
#include "base/net/timer.hpp"
#include "fabric/channel/hub_impl.hpp"
#include "fabric/names.hpp"

namespace rap::fabric {

namespace {

using net::Task;
using routing::ChannelClass;
using SteadyClock = std::chrono::steady_clock;

constexpr net::milliseconds kTick{1'000};

void refuse(IncomingConnect& incoming, unsigned status, Errc code, std::string_view detail) {
  net::HttpHeaders headers;
  headers.set(std::string(kErrorHeader), std::string(name(code)));
  headers.set(std::string(kDetailHeader), std::string(detail));
  incoming.refuse(status, headers);
}

}  // namespace

H2Limits h2_limits(const ChannelLimits& limits, ChannelClass channel_class) {
  const bool bulk = channel_class == ChannelClass::bulk;
  H2Limits out;
  out.streams_max = limits.streams_max;
  out.stream_window = bulk ? limits.bulk_stream_window : limits.interactive_stream_window;
  out.connection_window = bulk ? limits.bulk_window : limits.interactive_window;
  out.ping_every = limits.ping_every;
  out.ping_after = limits.ping_every;
  out.ping_timeout = limits.ping_timeout;
  out.stuck_after = limits.stuck_after;
  out.turn = bulk ? H2Limits::Turn::yielding : H2Limits::Turn::prompt;
  out.life = H2Limits::Life::lasting;
  return out;
}

PeerLinkPtr ChannelHub::Impl::find(const std::string& node_id, ChannelClass channel_class) const {
  PeerLinkPtr best;
  for (const auto& [number, link] : links) {
    const bool fits = link->node_id == node_id && link->kind.channel_class == channel_class &&
                      link->ours_to_open() && link->usable();
    if (fits) best = link;  // the newest
  }
  return best;
}

PeerLinkPtr ChannelHub::Impl::find(const std::string& node_id, LinkKind kind, DialledBy by) const {
  PeerLinkPtr best;
  for (const auto& [number, link] : links) {
    if (link->node_id == node_id && link->kind == kind && link->by == by && link->usable()) {
      best = link;
    }
  }
  return best;
}

bool ChannelHub::Impl::connected(const std::string& node_id) const {
  for (const auto& [number, link] : links) {
    if (link->node_id == node_id && link->state == LinkState::active) return true;
  }
  return false;
}

Result<std::string> ChannelHub::Impl::check(const net::PeerCertificate& certificate,
                                            net::CertificateUse use) {
  const Status chain = net::verify_chain(certificate.der, {}, cluster_ca_pem, use, clock.now());
  if (!chain) {
    count(chain.error().code == Errc::expired ? "expired" : "certificate");
    return fail(chain.error());
  }
  if (!directory) {
    count("unknown-peer");
    return fail(Errc::unavailable, "no peer directory yet");
  }
  const auto node = directory->check_peer(certificate.spiffe_uri, certificate.spki_sha256);
  if (!node) {
    count("unknown-peer");
    return fail(node.error());
  }
  if (*node == directory->self()) {
    count("unknown-peer");
    return fail(Errc::mismatch, "that is this node");
  }
  return std::string(directory->id(*node));
}

Result<PeerLinkPtr> ChannelHub::Impl::add(std::unique_ptr<net::TlsStream> stream, LinkKind kind,
                                          DialledBy by) {
  const auto certificate = stream->peer_certificate();
  if (!certificate) {
    count("certificate");
    return fail(Errc::unauthorized, "no certificate");
  }
  const auto use = by == DialledBy::us ? net::CertificateUse::server : net::CertificateUse::client;
  auto node_id = check(*certificate, use);
  if (!node_id) return fail(node_id.error());
  const bool first = !connected(*node_id);
  std::size_t of_peer = 0;
  for (const auto& [number, link] : links) of_peer += link->node_id == *node_id ? 1 : 0;
  const bool admitted = by == DialledBy::us || !first || !events.admit || events.admit(*node_id);
  if (closing || !server || of_peer >= limits.links_per_peer || !admitted) {
    count("full");
    if (by == DialledBy::them) {
      // GOAWAY as the first word means "full".
      const H2Limits h2 = h2_limits(limits, kind.channel_class);
      ConnectHandler nothing = [](std::unique_ptr<IncomingConnect>) -> Task<void> { co_return; };
      auto goes = kind.flow == Flow::forward
                      ? H2Connection::make_server(executor, std::move(stream), h2, nothing)
                      : H2Connection::make_client(executor, std::move(stream), h2);
      goes->start();
      goes->drain();
      tasks.spawn("goodbye", say_goodbye(std::move(goes)));
    }
    return fail(Errc::exhausted, "no room for another link");
  }

  auto link = std::make_shared<PeerLink>();
  link->number = next_link++;
  link->node_id = *node_id;
  link->spiffe_id = certificate->spiffe_uri;
  link->key = certificate->spki_sha256;
  link->certificate_until = certificate->not_after;
  link->kind = kind;
  link->by = by;
  link->generation = generation;
  const H2Limits h2 = h2_limits(limits, kind.channel_class);
  const std::weak_ptr<Impl> weak = weak_from_this();
  const std::weak_ptr<PeerLink> weak_link = link;
  if (link->ours_to_open()) {
    link->connection = H2Connection::make_client(executor, std::move(stream), h2);
  } else {
    ConnectHandler handler = [weak, weak_link](std::unique_ptr<IncomingConnect> incoming) {
      return serve_on(weak.lock(), weak_link.lock(), std::move(incoming));
    };
    link->connection =
        H2Connection::make_server(executor, std::move(stream), h2, std::move(handler));
  }
  link->connection->on_round_trip([weak, weak_link](std::chrono::nanoseconds time) {
    const auto self = weak.lock();
    const auto of = weak_link.lock();
    if (!self || !of) return;
    of->rtt_ms = static_cast<float>(static_cast<double>(time.count()) / 1e6);
    const bool counts = of->kind.channel_class == ChannelClass::interactive;
    if (counts && self->events.round_trip) self->events.round_trip(of->node_id, of->rtt_ms);
  });
  links.emplace(link->number, link);
  link->connection->start();
  tasks.spawn("link", watch_link(shared_from_this(), link));
  start_ticking();
  // Whoever dialled does not know yet whether the other end agrees.
  if (by == DialledBy::them) activate(*link);
  return link;
}

void ChannelHub::Impl::activate(PeerLink& link) {
  const bool first = !connected(link.node_id);
  link.on(LinkEvent::authorized);
  if (first && events.up) events.up(link.node_id, link.by);
  changed_now();
}

Task<void> ChannelHub::Impl::watch(PeerLinkPtr link) {
  co_await link->connection->ended();
  const Error& why = link->connection->end_reason();
  if (!link->lost) {
    const bool goodbye = link->state == LinkState::draining || link->connection->draining();
    if (why.code == Errc::timeout) count("silent");
    if (why.code == Errc::malformed) count("protocol");
    link->lost = why.code == Errc::cancelled || (goodbye && why.code == Errc::unavailable &&
                                                 link->connection->said_goodbye())
                     ? LinkLost::graceful
                     : LinkLost::lost;
  }
  remove(link);
}

void ChannelHub::Impl::remove(const PeerLinkPtr& link) {
  if (links.erase(link->number) == 0) return;
  const bool was_up = link->state != LinkState::authorize;
  link->on(*link->lost == LinkLost::revoked ? LinkEvent::revoked : LinkEvent::failed);
  log::info("link closed",
            {{"node", link->node_id}, {"error", link->connection->end_reason().text()}});
  if (was_up && !connected(link->node_id)) {
    if (events.down) events.down(link->node_id, *link->lost);
  }
  changed_now();
}

void ChannelHub::Impl::cut(PeerLink& link, LinkLost why, std::string_view reason) {
  if (link.lost) return;
  link.lost = why;
  count(reason);
  link.connection->close();
  const auto at = links.find(link.number);
  if (at != links.end()) remove(PeerLinkPtr(at->second));
}

void ChannelHub::Impl::drain(PeerLink& link) {
  if (link.state != LinkState::active) return;
  link.on(LinkEvent::drain);
  link.drained_at = SteadyClock::now();
  link.connection->drain();
}

bool ChannelHub::Impl::allow_stream(const std::string& node_id) {
  const auto now = SteadyClock::now();
  const auto [at, fresh] = stream_rates.try_emplace(node_id);
  Rate& rate = at->second;
  if (fresh) rate.left = limits.streams_burst;
  if (!fresh) {
    const std::chrono::duration<double> passed = now - rate.at;
    rate.left = std::min(limits.streams_burst, rate.left + passed.count() * limits.streams_per_s);
  }
  rate.at = now;
  if (rate.left < 1) return false;
  rate.left -= 1;
  return true;
}

Task<void> ChannelHub::Impl::serve(PeerLinkPtr link, std::unique_ptr<IncomingConnect> incoming) {
  if (!allow_stream(link->node_id)) {
    count("stream-rate");
    refuse(*incoming, 429, Errc::exhausted, "too many new streams");
    co_return;
  }
  if (incoming->request().authority == kAskReverseBulk) {
    co_await dial_reverse_bulk(link->node_id, std::move(incoming));
    co_return;
  }
  if (!events.stream) {
    refuse(*incoming, 404, Errc::unsupported, "no streams here");
    co_return;
  }
  co_await events.stream(link->node_id, link->kind.channel_class, std::move(incoming));
}

Task<void> serve_on(std::shared_ptr<ChannelHub::Impl> self, PeerLinkPtr link,
                    std::unique_ptr<IncomingConnect> incoming) {
  if (!self || !link) co_return;
  co_await self->serve(std::move(link), std::move(incoming));
}

Task<void> watch_link(std::shared_ptr<ChannelHub::Impl> self, PeerLinkPtr link) {
  co_await self->watch(std::move(link));
}

Task<void> say_goodbye(std::shared_ptr<H2Connection> connection) {
  try {
    co_await net::with_deadline(connection->ended(), net::milliseconds(2'000));
  } catch (const net::NetError&) {
    connection->close();
  }
}

Task<void> tick_all(std::weak_ptr<ChannelHub::Impl> weak, net::milliseconds every) {
  for (;;) {
    co_await net::sleep_for(every);
    const auto self = weak.lock();
    if (!self) co_return;
    self->tick();
  }
}

void ChannelHub::Impl::start_ticking() {
  if (ticking) return;
  ticking = true;
  tasks.spawn("channel clock", tick_all(weak_from_this(), kTick));
}

void ChannelHub::Impl::tick() {
  const auto now = SteadyClock::now();
  // A pause long enough to be as good as new is forgotten; coming back at once is not.
  std::erase_if(stream_rates, [&](const auto& entry) {
    const std::chrono::duration<double> passed = now - entry.second.at;
    return entry.second.left + passed.count() * limits.streams_per_s >= limits.streams_burst;
  });
  std::vector<PeerLinkPtr> all;
  for (const auto& [number, link] : links) all.push_back(link);
  for (const PeerLinkPtr& link : all) {
    // An expired certificate proves nothing any more.
    if (clock.now() > link->certificate_until) {
      cut(*link, LinkLost::revoked, "expired");
      continue;
    }
    if (link->state == LinkState::draining && now - link->drained_at > limits.drain_max) {
      cut(*link, LinkLost::graceful, "cut");
      continue;
    }
    const bool old = link->generation != generation && link->by == DialledBy::us;
    if (old && link->usable() && !link->replacing) {
      link->replacing = true;
      tasks.spawn("replace link", replace(link));
    }
  }
}

}  // namespace rap::fabric
