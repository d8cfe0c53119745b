// All channels of a node: connections to its peers, streams over them in both directions whoever
// dialled, each peer checked against the signed directory for as long as it is connected.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "base/net/tcp.hpp"
#include "base/net/tls.hpp"
#include "fabric/channel/limits.hpp"
#include "fabric/channel/link_kind.hpp"
#include "fabric/channel/state.hpp"
#include "fabric/h2/connection.hpp"
#include "fabric/routing/directory.hpp"

namespace rap::fabric {

enum class DialledBy : std::uint8_t { us, them };
enum class LinkLost : std::uint8_t { lost, graceful, revoked, dropped };

// Called on the executor; may call the hub.
struct HubEvents {
  // A peer that dials us: whether there is room (PeerSet::admit). Refused it is told `exhausted`.
  // Absent: always.
  std::function<bool(const std::string& node_id)> admit;
  // The first link of a peer is there; the last one is gone.
  std::function<void(const std::string& node_id, DialledBy by)> up;
  std::function<void(const std::string& node_id, LinkLost why)> down;
  std::function<void(const std::string& node_id, float milliseconds)> round_trip;
  // A stream of a peer that was checked. Its lease, or whatever else gives a right to it, is not.
  std::function<net::Task<void>(const std::string& node_id, routing::ChannelClass channel_class,
                                std::unique_ptr<IncomingConnect> incoming)>
      stream;
};

struct LinkFacts {
  std::string node_id;
  LinkKind kind;
  DialledBy by = DialledBy::us;
  LinkState state = LinkState::closed;
  std::size_t streams = 0;
  float rtt_ms = -1;  // not measured yet
  SystemTime certificate_until{};
};

// One executor. Nothing of it throws but `cancelled`.
class ChannelHub {
 public:
  ChannelHub(net::asio::any_io_executor executor, const Clock& clock, HubEvents events,
             ChannelLimits limits = {});
  ~ChannelHub();

  // Our certificate and who issues those of the cluster. Later handshakes use it; links of the old
  // one are dialled anew and then drained. `malformed`, `mismatch`: what was before goes on.
  Status set_identity(const net::TlsIdentity& identity, const std::string& cluster_ca_pem);
  // It was withdrawn: nobody is dialled or let in any more, and links end with their streams, or
  // after drain_max.
  void clear_identity();
  // Peers that are not in it, or whose key is not, are cut before this returns.
  void set_directory(std::shared_ptr<const routing::Directory> directory);

  // Connects when there is no link yet. `not_found`, `unavailable` (no endpoint, nobody there),
  // `unauthorized`, `mismatch`, `expired`, `timeout`, `exhausted` (the peer is full).
  net::Task<Status> dial(std::string node_id);
  // A connection to our port, before TLS; serves until it is a link or refused.
  net::Task<void> accept(std::unique_ptr<net::TcpStream> socket);
  // The same after TLS, for a port that people use too: its alpn is one of mesh_alpns(), and
  // whatever the port has checked is checked again.
  Status take(std::unique_ptr<net::TlsStream> stream);

  // A stream to a peer; dials, or asks the peer to, when it has no link of that class.
  net::Task<Result<ConnectAnswer>> open(std::string node_id, routing::ChannelClass channel_class,
                                        ConnectRequest request);

  // Says goodbye; streams go on for at most drain_max.
  void drain(const std::string& node_id);
  // All of them, for a restart; nobody is let in any more. Returns when all are gone or `grace` has
  // passed, and cuts the rest.
  net::Task<void> drain_all(net::milliseconds grace);

  bool connected(const std::string& node_id) const;
  std::vector<LinkFacts> links() const;
  // What was refused or ended by us, by reason: handshake, certificate, unknown-peer, full,
  // protocol, silent, revoked, expired, stream-rate, cut.
  const std::map<std::string, std::uint64_t, std::less<>>& refusals() const;

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;  // shared with its tasks
};

}  // namespace rap::fabric
