// What the owner decides about routing: weights, limits, hysteresis, sizes of peer sets, rules for
// organizations. Part of the signed directory; every member has a default that works.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fabric/routing/types.hpp"

namespace rap::routing {

// Cost is counted in milliseconds of round trip: a term's contribution is weight / 100 x raw value,
// so weight 100 of `latency` is what everything else is compared with.
struct Weights {
  std::uint16_t latency = 100;     // raw: round trip, ms
  std::uint16_t loss = 400;        // raw: permille; 1 % costs about one retransmission, 40 ms
  std::uint16_t reliability = 10;  // raw: permille of attempts that failed
  std::uint16_t failures = 2000;   // raw: recent failures, fading
  std::uint16_t setup = 3000;      // raw: 1 when the link is not up; a handshake before a byte
  std::uint16_t region = 10;       // raw: distance of the regions
  std::uint16_t bandwidth = 100;   // raw: 10 Mbit/s over what the link gives
  std::uint16_t load = 500;        // raw: load / (1 - load), how queues grow
  std::uint16_t role = 500;        // raw: 0 a pure relay, 1 also an entry, 2 also runs services
  std::uint16_t trust = 500;       // raw: steps below `high`
  std::uint16_t hop = 500;         // raw: 1 for each relay
  std::uint16_t avoid = 100;       // raw: the owner's wish in the node's record
  friend bool operator==(const Weights&, const Weights&) = default;
};

// Bulk does not feel a few milliseconds; it feels the narrowest link and a busy relay.
inline constexpr Weights kBulkWeights{.latency = 20,
                                      .loss = 800,
                                      .reliability = 10,
                                      .failures = 2000,
                                      .setup = 1000,
                                      .region = 5,
                                      .bandwidth = 2000,
                                      .load = 1500,
                                      .role = 1000,
                                      .trust = 500,
                                      .hop = 500,
                                      .avoid = 100};

// What not knowing costs, as the raw value that is charged in place of the missing one. It is a
// price, not a figure: explanations show such a term as unknown.
struct UnknownPrices {
  std::uint16_t latency = 60;       // ms
  std::uint16_t loss = 2;           // permille
  std::uint16_t reliability = 100;  // permille
  std::uint16_t bandwidth = 1;      // 10 Mbit/s
  std::uint16_t load = 1;           // half loaded
  friend bool operator==(const UnknownPrices&, const UnknownPrices&) = default;
};

// A measurement counts fully while fresh, fades until stale, and is unknown from then on.
struct Decay {
  std::uint32_t own_fresh_ms = 60'000;
  std::uint32_t own_stale_ms = 600'000;
  std::uint32_t told_fresh_ms = 60'000;
  std::uint32_t told_stale_ms = 300'000;
  std::uint32_t failure_ms = 300'000;  // a failure is forgotten after this
  std::uint32_t down_ms = 60'000;      // a link that went down is not tried by routes for so long
  friend bool operator==(const Decay&, const Decay&) = default;
};

// The current path stays unless another is better by both margins, and has had its time.
struct Hysteresis {
  std::uint16_t margin_permille = 250;  // of the current cost
  std::uint16_t margin_cost = 10;       // absolute; keeps two near relays from alternating
  std::uint32_t hold_ms = 30'000;       // least time on a path that works
  // To a path with fewer relays. It may be nearly as good only; but its first link must have
  // been up for this long.
  std::uint16_t shortcut_permille = 0;
  std::uint32_t shortcut_up_ms = 5'000;
  friend bool operator==(const Hysteresis&, const Hysteresis&) = default;
};

// Peers of one kind of node. `low` is urgent to reach, `rest` is where it settles, `high` is never
// exceeded: between rest and high lies the room for peers on trial and for those that dial us.
struct PeerSizes {
  std::uint8_t low = 3;
  std::uint8_t rest = 4;
  std::uint8_t high = 5;
  std::uint8_t relays = 2;  // of them, at least so many relays, when there are any
  std::uint8_t warm = 8;
  std::uint8_t cold = 16;
  std::uint16_t attached_max = 0;  // a relay's leaves: nodes that dialled it to be reachable
  friend bool operator==(const PeerSizes&, const PeerSizes&) = default;
};

inline constexpr PeerSizes kRelaySizes{
    .low = 8, .rest = 12, .high = 20, .relays = 6, .warm = 24, .cold = 48, .attached_max = 256};
inline constexpr PeerSizes kThinSizes{
    .low = 1, .rest = 2, .high = 3, .relays = 1, .warm = 4, .cold = 8, .attached_max = 0};

struct RegionDistance {
  std::string a;
  std::string b;
  std::uint16_t distance = 0;
  friend bool operator==(const RegionDistance&, const RegionDistance&) = default;
};

// A limit above these is none: a node carries 100,000 streams, a link 100 GB/s.
inline constexpr std::uint32_t kOrganizationStreamsMax = 1'000'000;
inline constexpr std::uint32_t kOrganizationKbytesMax = 100'000'000;

// What is asked of paths of one organization, beyond what holds for all.
struct OrganizationRule {
  std::string organization_id;
  std::vector<std::string> regions;  // relays and destinations only there; empty: anywhere
  Trust trust_min = Trust::low;
  std::uint8_t relays_max = kRelaysMax;
  bool own_relays_only = false;
  // What entries and relays hold its streams to, each for itself; 0: no limit. Routing does not
  // look at them.
  std::uint32_t streams_max = 0;
  std::uint32_t kbytes_per_s = 0;
  friend bool operator==(const OrganizationRule&, const OrganizationRule&) = default;
};

struct Policy {
  Weights interactive;
  Weights bulk = kBulkWeights;
  UnknownPrices unknown;
  Decay decay;
  Hysteresis hysteresis;
  PeerSizes normal;
  PeerSizes relay = kRelaySizes;
  PeerSizes thin = kThinSizes;
  std::uint8_t relays_max = 2;  // the hop limit; at most kRelaysMax
  Trust relay_trust_min = Trust::low;
  std::uint16_t region_distance = 100;  // of two regions that are not listed
  std::vector<RegionDistance> region_distances;
  Conduct when_stale = Conduct::go_on;             // after the directory's expiry
  Conduct when_isolated = Conduct::existing_only;  // in a minority partition
  // How long after its expiry a directory is used at all: a control plane that is away for
  // three days must not stop a cluster, a forgotten node must not route for ever.
  std::uint32_t stale_grace_s = 3 * 86'400;
  std::vector<OrganizationRule> organizations;
  friend bool operator==(const Policy&, const Policy&) = default;

  const Weights& weights(ChannelClass c) const {
    return c == ChannelClass::interactive ? interactive : bulk;
  }
};

}  // namespace rap::routing
