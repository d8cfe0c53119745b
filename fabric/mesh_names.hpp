// Who is who on a stream of the mesh: identities in certificates and leases, authorities in
// requests. docs/contracts/mesh-streams.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "fabric/routing/types.hpp"

namespace rap::fabric {

inline constexpr std::string_view kServiceIdPrefix = "svc_";

// Where a stream goes: to the service of an organization, or (between nodes) to a node itself.
struct MeshTarget {
  enum class Kind { service, node } kind = Kind::service;
  std::string id;  // svc_.. or nod_..
  bool operator==(const MeshTarget&) const = default;
};

// "svc_...service.rap.internal:1", "nod_...node.rap.internal:1"
std::string mesh_authority(const MeshTarget& target);
// nullopt for anything that is not exactly such a text.
std::optional<MeshTarget> mesh_target_of_authority(std::string_view authority);

std::string entry_spiffe(std::string_view cluster_id);  // ../entry
using routing::mesh_spiffe;                             // ../node/<node>/mesh
std::string service_spiffe(std::string_view cluster_id,
                           std::string_view service);  // ../service/<svc>
// service_spiffe() or mesh_spiffe().
std::string target_spiffe(std::string_view cluster_id, const MeshTarget& target);
// nullopt for anything that target_spiffe() does not give.
std::optional<MeshTarget> target_of_spiffe(std::string_view cluster_id, std::string_view uri);

}  // namespace rap::fabric
