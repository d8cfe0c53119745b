// The file of the peers a node had, so that after a restart it finds the mesh without asking
// anybody. docs/fabric-routing.md has the format.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "fabric/peers/peer_set.hpp"

namespace rap::peers {

// Active and warm peers of the largest sizes a policy may give.
inline constexpr std::size_t kRememberedMax = 512;
inline constexpr std::size_t kPeerFileBytesMax = 64u << 10;

std::string save_peers(std::string_view cluster_id, std::string_view node_id,
                       std::span<const RememberedPeer> peers);

// Fails, and the caller says so and goes on with none: codes of routing::open_sealed(), `mismatch`
// (another cluster or node), `malformed`, `too_large`.
Result<std::vector<RememberedPeer>> load_peers(std::string_view text, std::string_view cluster_id,
                                               std::string_view node_id);

}  // namespace rap::peers
