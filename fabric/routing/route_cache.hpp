// The last path that worked to each destination, kept over restarts: where to begin when nothing
// has been measured yet and nobody can be asked. A hint, never an authority: what it gives is
// checked by decide() like any current path. docs/fabric-routing.md has the file's format.
#pragma once

#include <compare>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "fabric/routing/request.hpp"

namespace rap::routing {

// What a node talks to is a few hundred names; the file stays below half a MiB.
inline constexpr std::size_t kRoutesMax = 1'024;
inline constexpr std::size_t kRouteFileBytesMax = 512u << 10;
// A path that was good a month ago says nothing any more.
inline constexpr std::chrono::hours kRouteAgeMax{30 * 24};

struct RouteKey {
  TargetKind kind = TargetKind::node;
  ChannelClass channel_class = ChannelClass::interactive;
  std::string target;
  std::string organization;  // empty: the platform's own
  auto operator<=>(const RouteKey&) const = default;
};

class RouteCache {
 public:
  RouteCache(std::string cluster_id, std::string node_id);

  // Bytes have come back over `path` (in the indices of `directory`). The oldest entry makes room.
  void good(const RouteKey& key, const Path& path, const Directory& directory, SystemTime now);
  // Nothing came back: the entry goes, when it is that path.
  void bad(const RouteKey& key, const Path& path, const Directory& directory);
  // Count 0: none, too old, or over nodes that are gone.
  Path find(const RouteKey& key, const Directory& directory, SystemTime now) const;
  std::size_t size() const { return routes_.size(); }

  std::string save() const;
  // Entries that are too old are left out. Fails, and the caller says so and begins with an empty
  // cache, with the codes of open_sealed(), `mismatch` (another cluster or node) or `malformed`.
  static Result<RouteCache> load(std::string_view text, std::string_view cluster_id,
                                 std::string_view node_id, SystemTime now);

 private:
  struct Route {
    std::vector<std::string> nodes;
    SystemTime good_at{};
  };
  void make_room();

  std::string cluster_id_;
  std::string node_id_;
  std::map<RouteKey, Route> routes_;
};

}  // namespace rap::routing
