// What a node reads back after a restart: route cache, peer cache, record of a decision. A wrong
// checksum ends most inputs, so the body is also tried under a right one.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fabric/peers/peer_cache.hpp"
#include "fabric/routing/replay.hpp"
#include "fabric/routing/route_cache.hpp"
#include "fabric/routing/sealed_text.hpp"

namespace {

constexpr std::string_view kCluster = "cls_00000000000000000000000000";
constexpr std::string_view kNode = "nod_00000000000000000000000001";

void read(std::string_view text) {
  const rap::SystemTime now = rap::from_unix_seconds(1'795'000'000);
  if (const auto routes = rap::routing::RouteCache::load(text, kCluster, kNode, now)) {
    const std::string saved = routes->save();
    if (rap::routing::RouteCache::load(saved, kCluster, kNode, now).value().save() != saved) {
      __builtin_trap();
    }
  }
  if (const auto peers = rap::peers::load_peers(text, kCluster, kNode)) {
    if (rap::peers::save_peers(kCluster, kNode, *peers) != text) __builtin_trap();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read(text);
  read(rap::routing::seal_text("rap-routes", text));
  read(rap::routing::seal_text("rap-peers", text));
  if (const auto record = rap::routing::RecordedDecision::parse(text)) {
    std::array<rap::routing::Candidate, 4> out;
    (void)record->decide(out);
  }
  return 0;
}
