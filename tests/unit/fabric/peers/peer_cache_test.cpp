#include "fabric/peers/peer_cache.hpp"

#include <gtest/gtest.h>

#include "fabric/routing/sealed_text.hpp"
#include "tests/support/mesh_rig.hpp"

namespace rap::peers {
namespace {

using namespace rap::test;

const std::vector<RememberedPeer> kPeers = {{node_id(2), PeerState::active},
                                            {node_id(3), PeerState::warm}};

std::string outcome(const std::string& text) {
  const auto loaded = load_peers(text, kCluster, node_id(1));
  return loaded ? "loaded" : std::string(name(loaded.error().code));
}

TEST(PeerCache, ComesBackAsItWas) {
  const auto loaded = load_peers(save_peers(kCluster, node_id(1), kPeers), kCluster, node_id(1));
  ASSERT_TRUE(loaded);
  ASSERT_EQ(loaded->size(), 2u);
  EXPECT_EQ((*loaded)[0].node_id, node_id(2));
  EXPECT_EQ((*loaded)[0].state, PeerState::active);
  EXPECT_EQ((*loaded)[1].state, PeerState::warm);
}

TEST(PeerCache, EveryFlippedBitAndCutIsNoticed) {
  const std::string good = save_peers(kCluster, node_id(1), kPeers);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_NE(outcome(bad), "loaded") << i;
    EXPECT_NE(outcome(good.substr(0, i)), "loaded") << i;
  }
}

TEST(PeerCache, HostileBodiesWithAGoodChecksum) {
  const std::string head = "cluster " + kCluster + "\nnode " + node_id(1) + "\n";
  const auto sealed = [](const std::string& body) {
    return outcome(routing::seal_text("rap-peers", body));
  };
  EXPECT_EQ(sealed(head), "loaded");
  EXPECT_EQ(sealed("cluster " + kCluster + "\nnode " + node_id(2) + "\n"), "mismatch");
  EXPECT_EQ(sealed(head + "cold " + node_id(2) + "\n"), "malformed");
  EXPECT_EQ(sealed(head + "active nod_x\n"), "malformed");
  EXPECT_EQ(sealed(head + "active " + node_id(2)), "malformed");
  std::string many = head;
  for (unsigned i = 0; i <= kRememberedMax; ++i) many += "warm " + node_id(i) + "\n";
  EXPECT_EQ(sealed(many), "too_large");
  EXPECT_EQ(outcome(std::string(kPeerFileBytesMax + 1, 'x')), "too_large");
  EXPECT_EQ(outcome(routing::seal_text("rap-routes", head)), "unsupported");
}

}  // namespace
}  // namespace rap::peers
