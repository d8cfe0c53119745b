#include "fabric/routing/types.hpp"

namespace rap::routing {

std::string mesh_spiffe(std::string_view cluster_id, std::string_view node_id) {
  return "spiffe://" + std::string(cluster_id) + "/node/" + std::string(node_id) + "/mesh";
}

std::string_view name(Role role) {
  constexpr std::string_view kNames[kRoles] = {"core-mesh", "relay-node", "entry-node", "service",
                                               "egress"};
  return kNames[static_cast<std::size_t>(role)];
}

std::string_view name(ChannelClass channel_class) {
  return channel_class == ChannelClass::interactive ? "interactive" : "bulk";
}

std::string_view name(Trust trust) {
  constexpr std::string_view kNames[kTrusts] = {"quarantined", "low", "normal", "high"};
  return kNames[static_cast<std::size_t>(trust)];
}

std::string_view name(AuthorityState state) {
  constexpr std::string_view kNames[kAuthorityStates] = {"healthy", "degraded", "recovery",
                                                         "isolated"};
  return kNames[static_cast<std::size_t>(state)];
}

std::string_view name(Conduct conduct) {
  constexpr std::string_view kNames[kConducts] = {"go-on", "existing-only", "stop"};
  return kNames[static_cast<std::size_t>(conduct)];
}

}  // namespace rap::routing
