// Which ways an entry tries for one stream, one after another. Pure.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/net/task.hpp"
#include "fabric/mesh_names.hpp"
#include "fabric/routing/engine.hpp"
#include "fabric/routing/route_cache.hpp"

namespace rap::fabric {

// What a node knows at a moment; the measurements are in the indices of the directory.
struct RouteView {
  std::shared_ptr<const routing::Directory> directory;
  const routing::Measurements* measurements = nullptr;
};

struct PickerLimits {
  // One dead relay, and its neighbour that was dead with it; who fails three times waits better.
  std::size_t tries_max = 3;
  net::milliseconds all{5'000};  // the client gives up a try after it
  // A way that hangs must leave time for the others; three round trips of the worst link fit.
  net::milliseconds one{1'600};
};

struct WantedPath {
  MeshTarget target;
  std::string organization;
  routing::ChannelClass channel_class = routing::ChannelClass::interactive;
};

class PathPicker {
 public:
  PathPicker(WantedPath wanted, routing::MonoTime begun, PickerLimits limits = {});

  // The nodes after this one, the end last; empty: this node is the end. Fails with `unavailable`
  // (no way, or as many as are allowed were tried), `not_found` (no such target), `forbidden`
  // (organization), `timeout`. Details name no nodes. `cache` may be null.
  Result<std::vector<std::string>> next(const RouteView& view, routing::Moment now,
                                        const routing::RouteCache* cache);
  // How long the way just given may take to answer.
  net::milliseconds patience(routing::Moment now) const;
  // It failed. `blamed` is what the refusal said; anybody not on the way is not believed, and the
  // first node is blamed instead.
  void failed(std::string_view blamed);

  const std::vector<std::string>& current() const { return current_; }
  std::size_t tries() const { return tries_; }

 private:
  const WantedPath wanted_;
  const routing::MonoTime begun_;
  const PickerLimits limits_;
  std::size_t tries_ = 0;
  std::vector<std::string> current_;
  std::vector<std::string> excluded_;
};

// As RouteCache knows it; a path from this node over `nodes`.
routing::RouteKey route_key(const WantedPath& wanted);
routing::Path path_over(const routing::Directory& directory, const std::vector<std::string>& nodes);

}  // namespace rap::fabric
