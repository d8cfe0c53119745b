// What a node of the mesh keeps over a restart, so that it finds its peers and ways again without
// asking anybody. Hints: a file that cannot be read, or is another node's, is left and written
// anew.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "fabric/peers/peer_cache.hpp"
#include "fabric/routing/route_cache.hpp"

namespace rap::fabric {

struct Caches {
  // Reads `<folder>/peers` and `<folder>/routes`; without a folder nothing is kept.
  Caches(std::filesystem::path folder, std::string cluster_id, std::string node_id, SystemTime now);

  // Writes what has changed since. A disk that takes nothing is said once in the log.
  void save(const std::vector<peers::RememberedPeer>& now_known);

  routing::RouteCache routes;
  std::vector<peers::RememberedPeer> remembered;  // as read at the start

 private:
  void write(const char* name, const std::string& text, std::string& last);

  std::filesystem::path folder_;
  std::string cluster_id_;
  std::string node_id_;
  std::string peers_written_, routes_written_;
  bool complained_ = false;
};

}  // namespace rap::fabric
