#include "fabric/routing/request.hpp"

namespace rap::routing {

std::string_view name(TargetKind kind) {
  constexpr std::string_view kNames[kTargetKinds] = {"node", "service", "egress-node",
                                                     "egress-pool"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view name(Rule rule) {
  constexpr std::string_view kNames[kRules] = {
      "none",         "foreign-cluster", "stale",         "isolated",   "unknown-target",
      "empty-target", "not-egress",      "organization",  "own-relays", "region",
      "trust",        "draining",        "channel-class", "excluded",   "link-down",
      "unreachable",  "relay-limit"};
  return kNames[static_cast<std::size_t>(rule)];
}

std::string_view sentence(Rule rule) {
  constexpr std::string_view kSentences[kRules] = {
      "",
      "is of another cluster",
      "the peer directory is too old",
      "the cluster's authority is isolated",
      "is not in the peer directory",
      "has no members",
      "is not an egress node",
      "does not serve this organization",
      "is not a relay of this organization, and only those may be used",
      "is in a region this organization's streams may not enter",
      "is trusted less than policy asks",
      "is draining",
      "does not carry this class of channel",
      "was excluded by the request",
      "the link is down",
      "cannot be dialled and has dialled nobody on the way",
      "is only reached over more relays than policy allows",
  };
  return kSentences[static_cast<std::size_t>(rule)];
}

std::string_view name(Choice choice) {
  constexpr std::string_view kNames[] = {"none",   "best",     "kept",  "held",
                                         "better", "shortcut", "forced"};
  return kNames[static_cast<std::size_t>(choice)];
}

std::string explain_none(const Directory& directory, const Request& request,
                         const Decision& decision) {
  std::string out = "no path to " + std::string(request.target) + ": ";
  out += sentence(decision.reason);
  for (std::size_t i = 1; i < kRules; ++i) {
    const Removed& removed = decision.removed[i];
    if (removed.count == 0) continue;
    out +=
        "; " + std::string(name(static_cast<Rule>(i))) + " took " + std::to_string(removed.count);
    if (removed.a == kNoNode) continue;
    out += ", e.g. " + std::string(directory.id(removed.a));
    if (removed.b != kNoNode) out += " - " + std::string(directory.id(removed.b));
  }
  return out;
}

}  // namespace rap::routing
