// The words of routing that every part of it shares.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace rap::routing {

// Milliseconds on a clock that only goes forward, from an origin of the caller's choice. Ages,
// pauses and backoff are reckoned on it, so that a corrected wall clock moves none of them.
using MonoTime = std::chrono::milliseconds;
inline constexpr MonoTime kNever{std::numeric_limits<std::int64_t>::min()};

// Nothing here reads a clock: whoever asks says when it is.
struct Moment {
  MonoTime mono{};
  SystemTime wall{};  // only for the expiry of what was signed and for what is written to disk
};

// "spiffe://<cluster>/node/<node>/mesh": who a mesh certificate says that its node is.
std::string mesh_spiffe(std::string_view cluster_id, std::string_view node_id);

// A node's place in one Directory; means nothing in another.
using NodeIndex = std::uint32_t;
inline constexpr NodeIndex kNoNode = std::numeric_limits<NodeIndex>::max();

enum class Role : std::uint8_t { core_mesh, relay_node, entry_node, service, egress };
inline constexpr std::size_t kRoles = 5;
using RoleMask = std::uint8_t;
constexpr RoleMask mask(Role role) {
  return static_cast<RoleMask>(1u << static_cast<unsigned>(role));
}

enum class ChannelClass : std::uint8_t { interactive, bulk };
inline constexpr std::size_t kChannelClasses = 2;
using ClassMask = std::uint8_t;
constexpr ClassMask mask(ChannelClass c) {
  return static_cast<ClassMask>(1u << static_cast<unsigned>(c));
}
inline constexpr ClassMask kEveryClass = 3;

enum class Trust : std::uint8_t { quarantined, low, normal, high };
inline constexpr std::size_t kTrusts = 4;

// State of the cluster's authority, as everywhere in RAP.
enum class AuthorityState : std::uint8_t { healthy, degraded, recovery, isolated };
inline constexpr std::size_t kAuthorityStates = 4;

// What routing does when the directory is stale or the authority isolated.
enum class Conduct : std::uint8_t { go_on, existing_only, stop };
inline constexpr std::size_t kConducts = 3;

// Text forms, as in docs/contracts/mesh-directory.md. Static storage.
std::string_view name(Role role);
std::string_view name(ChannelClass channel_class);
std::string_view name(Trust trust);
std::string_view name(AuthorityState state);
std::string_view name(Conduct conduct);

// Three relays: what two nodes behind NAT need whose relays do not reach each other. One more
// would only lengthen detours, and every relay is another machine that must hold.
inline constexpr std::size_t kRelaysMax = 3;
inline constexpr std::size_t kPathNodesMax = kRelaysMax + 2;

// Origin, relays in order, destination. A value; count 0 is "no path".
struct Path {
  std::array<NodeIndex, kPathNodesMax> nodes{};
  std::uint8_t count = 0;

  std::span<const NodeIndex> view() const { return {nodes.data(), count}; }
  NodeIndex destination() const { return count == 0 ? kNoNode : nodes[count - 1u]; }
  std::size_t relays() const { return count < 2 ? 0 : count - 2u; }
  // `count` stays at kPathNodesMax: callers check before.
  void push(NodeIndex node) {
    if (count < kPathNodesMax) nodes[count++] = node;
  }
  friend bool operator==(const Path& a, const Path& b) {
    if (a.count != b.count) return false;
    for (std::size_t i = 0; i < a.count; ++i) {
      if (a.nodes[i] != b.nodes[i]) return false;
    }
    return true;
  }
};

// A link between two nodes, in no direction.
struct Link {
  NodeIndex a = kNoNode;
  NodeIndex b = kNoNode;
  friend bool operator==(const Link& x, const Link& y) {
    return (x.a == y.a && x.b == y.b) || (x.a == y.b && x.b == y.a);
  }
};

}  // namespace rap::routing
