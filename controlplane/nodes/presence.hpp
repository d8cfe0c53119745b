// Is a node there? Pure.
#pragma once

#include <optional>

#include "base/clock.hpp"

namespace rap::cp {

// What agents are asked for, and how many intervals may be missed before a node counts as silent.
inline constexpr std::chrono::milliseconds kHeartbeatInterval{5000};
inline constexpr std::chrono::seconds kSilentAfter{20};

// A node's mesh process reports every 15 s; what it said longer ago says nothing about now.
inline constexpr std::chrono::seconds kReportFresh{60};

inline bool is_present(const std::optional<SystemTime>& last_heartbeat, SystemTime now) {
  return last_heartbeat && now - *last_heartbeat < kSilentAfter;
}

}  // namespace rap::cp
