#include "fabric/peers/peer_cache.hpp"

#include <algorithm>

#include "base/id.hpp"
#include "fabric/routing/sealed_text.hpp"

namespace rap::peers {

namespace {

constexpr std::string_view kKind = "rap-peers";

}  // namespace

std::string save_peers(std::string_view cluster_id, std::string_view node_id,
                       std::span<const RememberedPeer> peers) {
  std::string body = "cluster " + std::string(cluster_id) + "\nnode " + std::string(node_id) + "\n";
  for (const RememberedPeer& peer : peers.first(std::min(peers.size(), kRememberedMax))) {
    body += peer.state == PeerState::active ? "active " : "warm ";
    body += peer.node_id + "\n";
  }
  return routing::seal_text(kKind, body);
}

Result<std::vector<RememberedPeer>> load_peers(std::string_view text, std::string_view cluster_id,
                                               std::string_view node_id) {
  auto body = routing::open_sealed(kKind, text, kPeerFileBytesMax);
  if (!body) return fail(body.error(), "peer cache");
  std::string_view line;
  if (!routing::next_line(*body, line) || line != "cluster " + std::string(cluster_id) ||
      !routing::next_line(*body, line) || line != "node " + std::string(node_id)) {
    return fail(Errc::mismatch, "peer cache: of another node or cluster");
  }
  std::vector<RememberedPeer> out;
  while (routing::next_line(*body, line)) {
    const std::string_view state = routing::next_word(line);
    if ((state != "active" && state != "warm") || !NodeId::parse(line)) {
      return fail(Errc::malformed, "peer cache: want a state and a node id");
    }
    if (out.size() == kRememberedMax) return fail(Errc::too_large, "peer cache: peers");
    out.push_back({std::string(line), state == "active" ? PeerState::active : PeerState::warm});
  }
  if (!body->empty()) return fail(Errc::malformed, "peer cache: a line without an end");
  return out;
}

}  // namespace rap::peers
