// A node of the mesh, whole: its port, its peers, the streams that pass it and those that end at
// it. It puts the parts of fabric/ together and decides nothing itself: PeerSet says whom to dial,
// ChannelHub who may connect, MeshServer what a stream may, ServiceEnd who has reached a service.
//
//   port ── rap-mesh* ──► ChannelHub ── streams of nodes ──┐
//     └──── h2 ─────────► H2Connection ─ of people ──► MeshServer ──► the next hop, over ChannelHub
//                                                          └───────► ServiceEnd ──► SessionHandler
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/net/connection_slots.hpp"
#include "fabric/channel/hub.hpp"
#include "fabric/ends/mesh_server.hpp"
#include "fabric/ends/service_end.hpp"
#include "fabric/node/caches.hpp"
#include "fabric/peers/peer_set.hpp"
#include "fabric/relay/splice.hpp"
#include "fabric/relay/traffic.hpp"
#include "fabric/routing/measurements.hpp"

namespace rap::fabric {

struct MeshNodeLimits {
  ChannelLimits channels;
  MeshServerLimits streams;
  ServiceEndLimits services;
  resume::ResumeLimits resume;
  resume::RegistryLimits registry;
  // People's connections; see base/net/connection_slots.hpp. A connection is one person's client.
  net::SlotLimits people{.all = 4'096, .per_network = 512};
  net::milliseconds handshake{10'000};
  // Of each organization, at entry and relay; the directory's policy may say otherwise.
  TrafficLimits traffic;
  // PeerSet wants to be asked about so often.
  net::milliseconds tick{1'000};
  // Peers and routes are hints: what a crash loses of them is a minute's.
  net::milliseconds save_every{60'000};
};

struct MeshNodeSetup {
  std::string cluster_id;
  std::string node_id;
  std::uint64_t seed = 0;        // random, another one for every node; of whom it chooses as peers
  std::filesystem::path caches;  // directory of the files below; empty: nothing is kept
  const Clock* clock = nullptr;  // both outlive the node and its streams
  const resume::ResumeClock* resume_clock = nullptr;
  SessionHandler sessions;  // streams for this node's services whose lease holds
  MeshNodeLimits limits;
};

// What the node knows of itself and of its links; for reports and for people.
struct MeshNodeFacts {
  peers::Health health = peers::Health::isolated;
  std::int64_t directory_version = 0;  // 0: none yet
  std::vector<LinkFacts> links;
  std::size_t peers = 0;      // nodes with a link, those that dialled us for lack of others too
  std::size_t clients = 0;    // connections of people
  std::uint64_t carried = 0;  // bytes of streams that passed, both ways
  MeshServerCounts streams;
  ServiceEndCounts services;
  std::map<std::string, std::uint64_t> refused;  // at the port and between nodes, by reason
};

// One executor. Everything it is given replaces what was given before, at once and whole; what is
// wrong is refused and changes nothing.
class MeshNode final : private MeshHost {
 public:
  MeshNode(net::asio::any_io_executor executor, MeshNodeSetup setup);
  ~MeshNode();

  // The mesh certificate and key, and the cluster's authority.
  Status set_identity(const net::TlsIdentity& identity, const std::string& cluster_ca_pem);
  // It was withdrawn: the port is closed to all, links end with their streams.
  void clear_identity();
  // The role entry-node: people may connect. Without it those that are there stay, nobody new
  // comes.
  Status set_entry(const net::TlsIdentity& identity);
  void clear_entry();
  // People who are there are told to go elsewhere; their streams go on. After clear_entry().
  void say_goodbye_to_people();
  void cut_people();
  // The role relay-node, as far as this process is concerned; at first it is not there. Without it
  // what is carried goes on.
  enum class Relaying : std::uint8_t { no, yes };
  void set_relaying(Relaying relaying) { relaying_ = relaying; }
  void cut_relayed();
  // snap/mesh.json. `mismatch`: for another cluster or node; `rollback`: older than what is known.
  Status set_directory(std::string_view text);
  // The same, read elsewhere: that of 10,000 nodes takes a while. Any thread.
  static Result<routing::Directory> read_directory(std::string_view text);
  Status set_directory(routing::Directory directory);
  // Those that sign carry and session leases.
  Status set_lease_keys(const std::vector<LeaseKey>& keys);
  // Certificates of the services that end here, and closing sessions.
  ServiceEnd& service_end() { return services_; }

  // Dials peers and keeps them. Once, after the first directory and identity.
  void start();
  // A stream of this node itself: MeshServer::open_own().
  net::Task<Result<std::unique_ptr<H2Stream>>> open_own(MeshTarget target,
                                                        routing::ChannelClass channel_class) {
    return server_.open_own(std::move(target), channel_class);
  }
  // A connection to the port, before TLS; serves it until it ends.
  net::Task<void> accept(std::unique_ptr<net::TcpStream> socket);

  MeshNodeFacts facts() const;
  const routing::Measurements& measurements() const { return measurements_; }
  const routing::Directory* directory() const { return directory_.get(); }

  // Says goodbye to peers and people, waits for streams, at most `grace`, and ends the rest. The
  // caller has closed the port. Before the destructor, and with it whatever accept() still runs.
  net::Task<void> drain(net::milliseconds grace);

 private:
  // MeshHost
  RouteView routes() override { return {directory_, &measurements_}; }
  const CarryVerifier& carry_verifier() override { return carry_; }
  routing::Moment now() override;
  routing::RouteCache* route_cache() override { return &caches_.routes; }
  ServiceEnd* services() override { return &services_; }
  bool relays() override { return relaying_ == Relaying::yes; }
  net::Task<ConnectAnswer> open(std::string node, ConnectRequest request,
                                routing::ChannelClass channel_class) override;
  net::Task<void> splice(std::unique_ptr<H2Stream> from, std::unique_ptr<H2Stream> to,
                         Passing as) override;

  HubEvents hub_events();
  void link_up(const std::string& node, DialledBy by);
  void link_down(const std::string& node, LinkLost why);
  void act(const std::vector<peers::Action>& actions);
  net::Task<void> dial(std::string node);
  net::Task<void> keep_peers();
  net::Task<void> serve_people(std::unique_ptr<net::TlsStream> secured,
                               std::unique_ptr<net::ConnectionSlots::Slot> slot);
  void make_port();
  // What the directory's policy says; `before` may be null.
  void set_limits(const routing::Directory* before);
  void count(std::string_view reason) { ++refused_[std::string(reason)]; }

  const net::asio::any_io_executor executor_;
  const MeshNodeSetup setup_;
  std::shared_ptr<const routing::Directory> directory_;
  routing::Measurements measurements_;
  peers::PeerSet peers_;
  Caches caches_;
  CarryVerifier carry_;
  ServiceEnd services_;
  MeshServer server_;
  ChannelHub hub_;
  Traffic traffic_;
  std::optional<net::TlsServerContext> nodes_port_, people_port_;
  std::vector<net::TlsServerContext> port_;  // of nodes, then of people
  Relaying relaying_ = Relaying::no;
  struct Passed {
    std::shared_ptr<Splice> splice;
    bool relayed = false;
  };
  std::map<std::uint64_t, Passed> passing_;
  std::uint64_t next_passing_ = 1;
  std::uint64_t carried_ = 0;  // by streams that have ended
  net::ConnectionSlots people_;
  std::map<std::uint64_t, std::weak_ptr<H2Connection>> clients_;
  std::uint64_t next_client_ = 1;
  std::map<std::string, std::uint64_t> refused_;
  bool draining_ = false;
  net::TaskGroup tasks_;
};

}  // namespace rap::fabric
