// The life of a session: rules over values, no I/O.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace rap::cp {

enum class SessionState { opening, active, detached, closing, closed, failed };

std::string_view name(SessionState state);
std::optional<SessionState> session_state_from_name(std::string_view text);
inline bool is_over(SessionState state) {
  return state == SessionState::closed || state == SessionState::failed;
}

// The state after the node reported `reported`: what is over stays so; a session that is wanted
// closed stays closing until it is over.
SessionState after_report(SessionState current, SessionState reported);

// How long a node may not mention a session before it counts as gone: an opening one waits for its
// client and its remote host, the others are in every heartbeat.
inline constexpr std::chrono::seconds kOpeningGrace{60};
inline constexpr std::chrono::seconds kMissingGrace{15};

// Of a session that its node, which does report, no longer mentions. nullopt: not yet.
struct Verdict {
  SessionState state;
  std::string_view detail;
};
std::optional<Verdict> judge_missing(SessionState state, SystemTime mentioned,
                                     SystemTime node_reported);

// What keeps a node that has the role from taking a session; the nearest to none first.
enum class Obstacle { none, workload, endpoint, silent, disabled };

// A node that might take a session.
struct Candidate {
  std::string node_id;
  std::string assignment_id;
  Obstacle obstacle = Obstacle::none;
  std::string workload;   // reported state of the assignment's workload; empty: none yet
  std::string node_name;  // empty: who asks is not told which node it is
};

// `best` is the candidate with the least obstacle. `unavailable` with the reason when there is none
// (no node has the role) or it cannot take the session.
Result<Candidate> place(const std::optional<Candidate>& best, std::string_view role);

// May a person with this mode attach to a session in this state? `conflict` when it is over or
// about to be.
Status check_attach(SessionState state);

}  // namespace rap::cp
