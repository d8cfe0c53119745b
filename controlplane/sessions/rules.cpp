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

Result<Candidate> place(const std::vector<Candidate>& candidates, std::string_view role) {
  if (candidates.empty()) {
    return fail(Errc::unavailable, "no node has the role " + std::string(role) +
                                       " for this organization in the resource's cluster");
  }
  const Candidate* best = nullptr;
  std::string why = "no node with the role " + std::string(role) + " answers";
  for (const Candidate& candidate : candidates) {
    if (!candidate.active) {
      why = "the node is disabled";
    } else if (!candidate.present) {
      why = "no node with the role " + std::string(role) + " sends heartbeats";
    } else if (!candidate.has_endpoint) {
      why = "the node does not say where it can be reached";
    } else if (candidate.workload == "failed" || candidate.workload == "degraded" ||
               candidate.workload == "backoff" || candidate.workload == "stopped") {
      why = "the node's worker for " + std::string(role) + " is " + candidate.workload;
    } else if (best == nullptr || candidate.sessions < best->sessions ||
               (candidate.sessions == best->sessions && candidate.node_id < best->node_id)) {
      best = &candidate;
    }
  }
  if (best == nullptr) return fail(Errc::unavailable, why);
  return *best;
}

Status check_attach(SessionState state) {
  if (is_over(state)) return fail(Errc::conflict, "the session is over");
  if (state == SessionState::closing) return fail(Errc::conflict, "the session is being closed");
  return {};
}

}  // namespace rap::cp
