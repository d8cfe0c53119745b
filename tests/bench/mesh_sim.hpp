// Ten thousand nodes of one cluster in one process: every node runs its own peer set over simulated
// links, a control plane publishes what their heartbeats say. Time is simulated; nothing sleeps.
//
// What is assumed: a round trip of 2 to 12 ms within a region and 20 ms more for each region
// between; a dial takes two round trips; a machine that vanished answers nothing, a dial to it
// fails after 5 s, a link to it is noticed after two missed pings of 2.5 s each.
#pragma once

#include <cstdint>
#include <memory>
#include <queue>
#include <vector>

#include "fabric/peers/peer_set.hpp"
#include "fabric/routing/engine.hpp"

namespace rap::bench {

using peers::PeerSet;
using routing::Directory;
using routing::MonoTime;
using routing::NodeIndex;

struct SimOptions {
  unsigned nodes = 10'000;
  unsigned relays = 1'000;
  unsigned regions = 8;
  double hidden_share = 0.8;  // of the nodes that are no relays: behind NAT
  std::int64_t heartbeat_ms = 10'000;
  std::uint64_t seed = 1;
};

inline constexpr std::int64_t kPingMs = 2'500;
inline constexpr int kMissedPings = 2;
inline constexpr std::int64_t kDialTimeoutMs = 5'000;

class MeshSim {
 public:
  explicit MeshSim(SimOptions options);

  void run_until(std::int64_t ms);
  // That many relays vanish without a word.
  void kill_relays(unsigned count);

  // By what is true, not by what a node believes: enough living peers and relays.
  bool well_connected(NodeIndex node) const;
  // A path whose every link is up, or would be when dialled.
  bool works(const routing::Path& path) const;
  // What the node's engine answers now; count 0: nothing.
  routing::Decision route(NodeIndex from, NodeIndex to, std::span<routing::Candidate> out) const;

  std::int64_t now() const { return now_; }
  const SimOptions& options() const { return options_; }
  const Directory& directory() const { return *directory_; }
  bool alive(NodeIndex node) const { return nodes_[node].alive; }
  bool is_relay(NodeIndex node) const { return directory_->has(node, routing::Role::relay_node); }
  const PeerSet& set(NodeIndex node) const { return nodes_[node].set; }
  const routing::Measurements& measured(NodeIndex node) const { return nodes_[node].measured; }
  float rtt_ms(NodeIndex a, NodeIndex b) const;
  std::uint64_t dials() const { return dials_; }

 private:
  struct Node {
    explicit Node(std::uint64_t seed) : set(seed) {}
    PeerSet set;
    routing::Measurements measured;
    bool alive = true;
    std::int64_t heard_ms = 0;             // by the control plane
    std::vector<NodeIndex> said_attached;  // in the last heartbeat
  };
  enum class Kind : std::uint8_t { tick, heartbeat, publish, dialled, dial_timeout, noticed };
  struct Event {
    std::int64_t at;
    std::uint64_t order;  // among those of one time: as they came
    Kind kind;
    NodeIndex node;
    NodeIndex peer;
    bool operator>(const Event& o) const { return at != o.at ? at > o.at : order > o.order; }
  };

  routing::DirectoryDoc first_doc();
  void publish();
  void heartbeat(NodeIndex node);
  void tick(NodeIndex node);
  void dialled(NodeIndex node, NodeIndex peer);
  void disconnect(NodeIndex a, NodeIndex b);
  bool linked(NodeIndex a, NodeIndex b) const;
  void at(std::int64_t delay, Kind kind, NodeIndex node, NodeIndex peer = routing::kNoNode);
  routing::Moment moment() const;

  SimOptions options_;
  peers::Random random_;
  routing::DirectoryDoc doc_;
  std::unique_ptr<Directory> directory_;
  std::vector<Node> nodes_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::vector<peers::Action> actions_;
  std::int64_t now_ = 0;
  std::uint64_t order_ = 0;
  std::uint64_t dials_ = 0;
};

}  // namespace rap::bench
