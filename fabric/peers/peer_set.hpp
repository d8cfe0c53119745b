// Keeps a node connected to a few good peers. A state machine: events go in, actions come out; it
// opens nothing itself. docs/fabric-routing.md draws it.
//
//     isolated ─ a link is up ─► filling ─ active >= low ─► settling ─ active >= rest ─► steady
//         ▲                         ▲                          ▲                           │
//         └─ nobody left ───────────┴── active < low ──────────┴── active < rest ──────────┘
//
//     cold ──promote──► warm ──dial──► dialling ──up──► active
//       ▲                 ▲               │ failed         │ down, dropped
//       └── not sampled   └── backoff ────┴────────────────┘
//
// One thread. Times never go backwards.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fabric/peers/peer.hpp"
#include "fabric/peers/random.hpp"
#include "fabric/routing/measurements.hpp"

namespace rap::peers {

using routing::Directory;
using routing::Measurements;
using routing::Moment;

// A dial that nobody reported on is over: longer than any handshake deadline of the channel.
inline constexpr MonoTime kDialMax{30'000};
// First pause after a failure, and the longest. Without any peer the longest is shorter: there is
// nothing to protect, and somebody waits.
inline constexpr MonoTime kBackoffFirst{1'000};
inline constexpr MonoTime kBackoffMax{300'000};
inline constexpr MonoTime kBackoffIsolatedMax{30'000};
inline constexpr MonoTime kBackoffFull{30'000};  // the peer lives but has no room
// When something is lost, a fleet must not dial in one instant: each waits up to so long.
inline constexpr MonoTime kUrgentSpread{500};
inline constexpr MonoTime kRelaxedSpread{5'000};
// How often a node tries whether somebody else is better, and how long it looks at him.
inline constexpr MonoTime kTrialEvery{600'000};
inline constexpr MonoTime kTrialTime{30'000};

enum class Health : std::uint8_t { isolated, filling, settling, steady };
std::string_view name(Health health);

enum class ActionKind : std::uint8_t { dial, drop, promote };
std::string_view name(ActionKind kind);

enum class Why : std::uint8_t {
  missing,      // dial: too few peers
  relay,        // dial: too few relays
  trial,        // dial: may be better than one we have
  remembered,   // dial: was active before the restart
  last_resort,  // dial: a bootstrap node
  gone,         // drop: not in the directory any more, or not to be trusted
  draining,     // drop: it is going away, and others are there
  excess,       // drop: more than the policy's sizes
  worse,        // drop: lost the comparison
  make_room,    // drop: for a relay that is missing
  score,        // promote: the best of the cold ones
};
std::string_view name(Why why);

struct Action {
  ActionKind kind;
  NodeIndex node;
  Why why;
};

// Whether a node that dials us is let in. foreign: not trusted, or of another organization.
enum class Admission : std::uint8_t { peer, leaf, full, foreign };

// What is kept over a restart.
struct RememberedPeer {
  std::string node_id;
  PeerState state = PeerState::cold;
};

class PeerSet {
 public:
  // `seed`: random, and another one for every node.
  explicit PeerSet(std::uint64_t seed);

  // A newer directory; `before` is the one of the call before, nullptr at first; `self` is this
  // node in it. Everything else speaks in the indices of `now_in_force`. Peers that are gone or not
  // trusted any more are dropped.
  void directory_changed(const Directory* before, const Directory& now_in_force, NodeIndex self,
                         Moment now, std::vector<Action>& out);
  // After the first directory: whom the cache remembers.
  void remember(const Directory& directory, std::span<const RememberedPeer> peers);

  // For a peer that dials us: whether there is room. It is let in by link_up(.., inbound).
  Admission admit(const Directory& directory, NodeIndex node) const;
  void link_up(const Directory& directory, NodeIndex node, Direction direction, MonoTime now);
  enum class DownCause { lost, graceful, dropped_by_us };
  void link_down(const Directory& directory, NodeIndex node, DownCause cause, MonoTime now);
  enum class DialError { failed, full };
  void dial_failed(NodeIndex node, DialError error, MonoTime now);

  // About once a second; what is to be done is appended to `out`. A dial is answered by link_up()
  // or dial_failed(), a drop has happened when it is written.
  void tick(const Directory& directory, const Measurements& measurements, Moment now,
            std::vector<Action>& out);

  Health health() const;
  std::span<const Peer> peers() const { return peers_; }
  std::span<const NodeIndex> leaves() const { return leaves_; }
  std::size_t active() const { return count(PeerState::active); }
  std::size_t count(PeerState state) const;
  const routing::PeerSizes& sizes() const { return sizes_; }
  std::vector<RememberedPeer> remembered(const Directory& directory) const;

 private:
  Peer* find(NodeIndex node);
  const Peer* find(NodeIndex node) const;
  enum class Failed { keep, forget };
  void sample(const Directory& directory, Failed failed = Failed::keep);
  void set_state(Peer& peer, PeerState state, MonoTime now);
  void back_off(Peer& peer, MonoTime now);
  std::size_t engaged() const { return count(PeerState::active) + count(PeerState::dialling); }
  void prune();
  void urgent(MonoTime now);
  MonoTime spread(MonoTime most);
  void promote(const struct Selection& selection, MonoTime now, std::vector<Action>& out);
  void drop(const Directory& directory, const Peer* peer, Why why, MonoTime now,
            std::vector<Action>& out);
  void dial(const Peer* peer, Why why, MonoTime now, std::vector<Action>& out);
  void dial_missing(const struct Selection& selection, MonoTime now, std::vector<Action>& out);
  void lose_excess(const struct Selection& selection, MonoTime now, std::vector<Action>& out);
  void compare(const struct Selection& selection, MonoTime now, std::vector<Action>& out);
  const Peer* next_to_dial(const struct Selection& selection, MonoTime now, Why& why);

  std::uint64_t seed_;
  Random random_;
  std::uint64_t draw_ = 0;  // of the sample; another one when everybody in it has failed
  routing::PeerSizes sizes_;
  NodeIndex self_ = routing::kNoNode;
  bool self_relay_ = false;
  std::vector<Peer> peers_;
  std::vector<NodeIndex> leaves_;
  MonoTime next_dial_ = routing::kNever;
  MonoTime next_trial_ = routing::kNever;
};

// The sizes that policy gives to a node: relay, thin or normal.
const routing::PeerSizes& sizes_of(const Directory& directory, NodeIndex node);

}  // namespace rap::peers
