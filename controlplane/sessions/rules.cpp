#include "controlplane/sessions/rules.hpp"

#include <array>

namespace rap::cp {
namespace {

constexpr std::array<std::string_view, 6> kNames = {"opening", "active", "detached",
                                                    "closing", "closed", "failed"};

}  // namespace

std::string_view name(SessionState state) {
  return kNames[static_cast<std::size_t>(state)];
}
std::optional<SessionState> session_state_from_name(std::string_view text) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == text) return static_cast<SessionState>(i);
  }
  return std::nullopt;
}

SessionState after_report(SessionState current, SessionState reported) {
  if (is_over(current)) return current;
  if (current == SessionState::closing && !is_over(reported)) return current;
  return reported;
}

std::optional<Verdict> judge_missing(SessionState state, SystemTime mentioned,
                                     SystemTime node_reported) {
  if (is_over(state)) return std::nullopt;
  const auto grace = state == SessionState::opening ? kOpeningGrace : kMissingGrace;
  if (node_reported - mentioned < grace) return std::nullopt;
  if (state == SessionState::closing) {
    return Verdict{SessionState::closed, "closed; the node no longer has it"};
  }
  if (state == SessionState::opening) {
    return Verdict{SessionState::failed, "nobody came to open it"};
  }
  return Verdict{SessionState::failed, "the node no longer has it"};
}

Result<Candidate> place(const std::optional<Candidate>& best, std::string_view role) {
  const std::string wanted(role);
  if (!best) {
    return fail(Errc::unavailable, "no node has the role " + wanted +
                                       " for this organization in the resource's cluster");
  }
  const std::string& name = best->node_name;
  const std::string node = "the node" + (name.empty() ? "" : " " + name);
  switch (best->obstacle) {
    case Obstacle::none:
      break;
    case Obstacle::workload:
      return fail(Errc::unavailable,
                  "the worker for " + wanted + " on " + node + " is " + best->workload);
    case Obstacle::endpoint:
      return fail(Errc::unavailable, node + " does not say where it can be reached");
    case Obstacle::silent:
      return fail(Errc::unavailable, "no node with the role " + wanted + " sends heartbeats");
    case Obstacle::disabled:
      return fail(Errc::unavailable,
                  node + " is disabled; " +
                      (name.empty() ? "an owner of the platform can enable it"
                                    : "'rapctl node enable " + name + "' lets it work again"));
  }
  return *best;
}

Status check_attach(SessionState state) {
  if (is_over(state)) return fail(Errc::conflict, "the session is over");
  if (state == SessionState::closing) return fail(Errc::conflict, "the session is being closed");
  return {};
}

}  // namespace rap::cp
