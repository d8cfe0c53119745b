// One peer of a node, as its peer set sees it.
#pragma once

#include <cstdint>
#include <string_view>

#include "fabric/routing/types.hpp"

namespace rap::peers {

using routing::MonoTime;
using routing::NodeIndex;

// cold: known; warm: would be dialled next; dialling; active: connected.
enum class PeerState : std::uint8_t { cold, warm, dialling, active };
std::string_view name(PeerState state);

enum class Direction : std::uint8_t { outbound, inbound };

struct Peer {
  NodeIndex node = routing::kNoNode;
  PeerState state = PeerState::cold;
  Direction direction = Direction::outbound;
  bool remembered = false;  // was active before the restart: dialled first
  bool trial = false;       // dialled to be compared, not because one was missing
  std::uint8_t failures = 0;
  MonoTime since = routing::kNever;     // in this state
  MonoTime retry_at = routing::kNever;  // not dialled before
};

}  // namespace rap::peers
