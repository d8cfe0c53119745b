// The newest view of each cluster, shared by the requests of all its nodes.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "controlplane/mesh/view.hpp"

namespace rap::cp {

// Any thread. A cluster's view is read once for each generation, which the rounds raise when any
// directory became another; whoever asks in between gets the one of that generation.
class MeshViews {
 public:
  // Needs Scope::platform().
  std::shared_ptr<const MeshView> get(Tx& tx, const ClusterId& cluster, SystemTime now);

 private:
  struct Kept {
    std::int64_t generation = -1;
    std::shared_ptr<const MeshView> view;
  };
  std::mutex mutex_;
  std::map<std::string, Kept> kept_;  // guarded by mutex_
};

}  // namespace rap::cp
