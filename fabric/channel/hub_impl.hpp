// Private to fabric/channel.
#pragma once

#include <optional>
#include <vector>

#include "base/net/event.hpp"
#include "base/net/task_group.hpp"
#include "fabric/channel/hub.hpp"

namespace rap::fabric {

// One connection to a peer.
struct PeerLink {
  std::uint64_t number = 0;
  std::string node_id;
  std::string spiffe_id;
  Sha256Digest key{};
  LinkKind kind;
  DialledBy by = DialledBy::us;
  LinkState state = LinkState::authorize;
  SystemTime certificate_until{};
  std::uint64_t generation = 0;  // of our identity
  bool replacing = false;        // its successor is being dialled
  float rtt_ms = -1;
  std::chrono::steady_clock::time_point drained_at{};
  std::optional<LinkLost> lost;  // why we end it
  std::shared_ptr<H2Connection> connection;

  void on(LinkEvent event) {
    if (const auto next = after(state, event)) state = *next;
  }
  // We may ask for streams on it.
  bool ours_to_open() const { return (by == DialledBy::us) == (kind.flow == Flow::forward); }
  bool usable() const { return state == LinkState::active && !connection->draining(); }
};
using PeerLinkPtr = std::shared_ptr<PeerLink>;

struct ChannelHub::Impl : std::enable_shared_from_this<ChannelHub::Impl> {
  Impl(net::asio::any_io_executor e, const Clock& c, HubEvents ev, ChannelLimits l)
      : executor(e), clock(c), events(std::move(ev)), limits(l), changed(e), tasks(e) {}

  net::asio::any_io_executor executor;
  const Clock& clock;
  HubEvents events;
  ChannelLimits limits;
  std::string cluster_ca_pem;
  // Of our certificate and key, parsed: no text of the key stays.
  std::optional<net::TlsServerContext> server;
  std::map<std::string, net::TlsClientContext> clients;  // by ALPN
  std::uint64_t generation = 0;
  std::shared_ptr<const routing::Directory> directory;
  std::map<std::uint64_t, PeerLinkPtr> links;
  std::uint64_t next_link = 1;
  std::size_t handshakes = 0;
  bool closing = false;
  bool ticking = false;
  std::map<std::string, std::uint64_t, std::less<>> refusals;
  struct Rate {
    double left = 0;
    std::chrono::steady_clock::time_point at{};
  };
  std::map<std::string, Rate> stream_rates;  // by node
  std::map<std::string, int> dialling;       // by node, class and flow
  net::Event changed;                        // a link came or went, or a dial ended
  net::TaskGroup tasks;

  void count(std::string_view reason) { ++refusals[std::string(reason)]; }
  PeerLinkPtr find(const std::string& node_id, routing::ChannelClass channel_class) const;
  PeerLinkPtr find(const std::string& node_id, LinkKind kind, DialledBy by) const;
  bool connected(const std::string& node_id) const;

  // Who shows this certificate, by the directory. Counts refusals.
  Result<std::string> check(const net::PeerCertificate& certificate, net::CertificateUse use);
  Result<PeerLinkPtr> add(std::unique_ptr<net::TlsStream> stream, LinkKind kind, DialledBy by);
  void activate(PeerLink& link);
  void remove(const PeerLinkPtr& link);
  void cut(PeerLink& link, LinkLost why, std::string_view reason);
  void drain(PeerLink& link);
  bool allow_stream(const std::string& node_id);
  void start_ticking();
  void tick();
  void changed_now() {
    changed.set();
    changed.reset();
  }

  net::Task<Status> dial_kind(std::string node_id, LinkKind kind);
  net::Task<Result<std::unique_ptr<net::TlsStream>>> connect(std::string node_id, LinkKind kind);
  net::Task<void> replace(PeerLinkPtr old);
  net::Task<void> watch(PeerLinkPtr link);
  net::Task<void> serve(PeerLinkPtr link, std::unique_ptr<IncomingConnect> incoming);
  net::Task<void> dial_reverse_bulk(std::string node_id, std::unique_ptr<IncomingConnect> incoming);
  net::Task<Status> need_link(std::string node_id, routing::ChannelClass channel_class);
};

// The same as tasks that keep the hub while they run; `self` and `link` may be gone in the first.
net::Task<void> serve_on(std::shared_ptr<ChannelHub::Impl> self, PeerLinkPtr link,
                         std::unique_ptr<IncomingConnect> incoming);
net::Task<void> watch_link(std::shared_ptr<ChannelHub::Impl> self, PeerLinkPtr link);
net::Task<void> say_goodbye(std::shared_ptr<H2Connection> connection);
net::Task<void> tick_all(std::weak_ptr<ChannelHub::Impl> weak, net::milliseconds every);

}  // namespace rap::fabric
