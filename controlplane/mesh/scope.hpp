// What one node is told of the mesh: only what its roles need. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "controlplane/mesh/view.hpp"

namespace rap::cp {

// A directory says what is true for a day and is made anew four times a day, so that a control
// plane that is away for 18 hours makes no directory stale.
inline constexpr std::chrono::hours kMeshDirectoryLife{24};
inline constexpr std::chrono::hours kMeshDirectoryRenewed{6};

// Relays and entries that are told; with fewer all of them are. One that a node was not told of is
// refused by it, and whoever tried takes another.
inline constexpr std::size_t kCarriersOfThin = 16;
inline constexpr std::size_t kCarriersOfPlain = 48;  // no role: it only has to stay connected
inline constexpr std::size_t kCarriersOfOwned = 64;  // of an organization: not the platform's map
inline constexpr std::size_t kCarriersOfService = 512;  // any of them may come with a stream
// Other nodes to be peers with: so many to each side on each circle, so that both know each other.
inline constexpr std::size_t kNeighboursPerSide = 2;

// Indices into view.nodes, ascending, `self` among them.
std::vector<std::uint32_t> nodes_in_scope(const MeshView& view, std::uint32_t self);

// Of everything that its directory says but the times: equal hashes, equal directories.
Sha256Digest scope_hash(const MeshView& view, std::uint32_t self);

routing::DirectoryDoc directory_for(const MeshView& view, std::uint32_t self, SystemTime now);

// Changes when the directory is due to be made anew; each node at a time of its own.
std::int64_t directory_period(const MeshNode& node, SystemTime now);

}  // namespace rap::cp
