// What a node knows of links and loads: measured by itself, or told by others, each with its age.
// What was not measured, or too long ago, is unknown; no figure is ever made up.
// One thread. Indices are those of one Directory: see rebound().
#pragma once

#include <cstdint>
#include <optional>

#include "fabric/routing/directory.hpp"
#include "fabric/routing/flat_map.hpp"
#include "fabric/routing/types.hpp"

namespace rap::routing {

// Links of others that are remembered: 10,000 nodes with four links each, and room.
inline constexpr std::size_t kToldMax = 65'536;

enum class LinkState : std::uint8_t { unknown, up, down };

// A figure and when it was true. `at` kNever: never measured.
struct Sample {
  float value = 0;
  MonoTime at = kNever;
  bool ever() const { return at != kNever; }
  friend bool operator==(const Sample&, const Sample&) = default;
};

// Own link to one peer.
struct OwnLink {
  LinkState state = LinkState::unknown;
  MonoTime state_since = kNever;
  Sample rtt_ms;           // smoothed by 1/8 (RFC 6298)
  Sample loss_permille;    // smoothed by 1/16: one lost ping of sixteen shows
  Sample kbps;             // the last one
  Sample failed_permille;  // of attempts to connect and to stay connected, smoothed by 1/5
  Sample failures;         // recent ones; fades to 0 over Decay::failure_ms
  friend bool operator==(const OwnLink&, const OwnLink&) = default;
};

// What a report says of a link between two others.
struct Report {
  std::optional<float> rtt_ms;
  std::optional<float> loss_permille;
  std::optional<float> kbps;
  LinkState state = LinkState::unknown;
};

// A report as it is kept; negative: not said.
struct Told {
  MonoTime at = kNever;
  float rtt_ms = -1;
  float loss_permille = -1;
  float kbps = -1;
  LinkState state = LinkState::unknown;
  friend bool operator==(const Told&, const Told&) = default;
};

// A figure with how much it counts: 1 fresh, towards 0 as it ages; 0 is unknown.
struct Known {
  float value = 0;
  float confidence = 0;
  bool known() const { return confidence > 0; }
};

// One link as scoring sees it.
struct LinkView {
  LinkState state = LinkState::unknown;  // down only as long as that keeps routes away
  bool own = false;
  MonoTime up_since = kNever;
  Known rtt_ms, loss_permille, kbps, failed_permille, failures;
};

class Measurements {
 public:
  // Own links. Times never go backwards; an earlier one is taken as the latest seen.
  void link_up(NodeIndex peer, MonoTime at);
  enum class DownCause { lost, graceful };  // a goodbye is no failure
  void link_down(NodeIndex peer, DownCause cause, MonoTime at, const Decay& decay);
  void dial_failed(NodeIndex peer, MonoTime at, const Decay& decay);
  // A round trip, or none in time. Values out of range (not finite, negative, over a minute) are
  // ignored and false is returned.
  bool ping(NodeIndex peer, float rtt_ms, MonoTime at, const Decay& decay);
  void ping_lost(NodeIndex peer, MonoTime at);
  bool bandwidth(NodeIndex peer, float kbps, MonoTime at);

  // A report of others, already authenticated, `measured_at` reckoned from its age. `rollback` when
  // a newer one is known (duplicated, reordered), `invalid` for figures out of range or one end at
  // both ends, `exhausted` when full even after forgetting what is stale.
  Status told(NodeIndex a, NodeIndex b, const Report& report, MonoTime measured_at, MonoTime now,
              const Decay& decay);
  // A node's load in permille, newer than what its directory says. `invalid`, `rollback`.
  Status told_load(NodeIndex node, std::uint16_t permille, MonoTime measured_at);

  // What another node measured of its own link, to decide as it would.
  void put_own(NodeIndex peer, const OwnLink& link) { own_.at(peer) = link; }

  const OwnLink* own(NodeIndex peer) const { return own_.find(peer); }
  const std::vector<FlatMap<OwnLink>::Entry>& own_links() const { return own_.entries(); }
  std::size_t told_count() const { return told_.size(); }

  // The link between `a` and `b` as `self` knows it.
  LinkView link(NodeIndex self, NodeIndex a, NodeIndex b, MonoTime now, const Decay& decay) const;
  // What was told of a node's load; unknown when nothing was. The directory's figure is not looked
  // at: it has no age on this clock.
  Known load(NodeIndex node, MonoTime now, const Decay& decay) const;

  // The same for the indices of a newer directory. What is not in it any more is forgotten.
  Measurements rebound(const Directory& from, const Directory& to) const;

  friend class MeasurementsText;

 private:
  OwnLink& own_at(NodeIndex peer, MonoTime& at);
  void failed(OwnLink& link, MonoTime at, const Decay& decay);

  FlatMap<OwnLink> own_;   // by peer
  FlatMap<Told> told_;     // by pair_key
  FlatMap<Sample> loads_;  // by node
  MonoTime latest_ = kNever;
};

// How much a sample of that age counts: 1 until `fresh_ms`, then falling in a line, 0 at
// `stale_ms`.
float confidence(MonoTime at, MonoTime now, std::uint32_t fresh_ms, std::uint32_t stale_ms);

// One key for both directions.
constexpr std::uint64_t pair_key(NodeIndex a, NodeIndex b) {
  return a < b ? (std::uint64_t{a} << 32) | b : (std::uint64_t{b} << 32) | a;
}

}  // namespace rap::routing
