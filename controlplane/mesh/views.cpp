#include "controlplane/mesh/views.hpp"

namespace rap::cp {
namespace {

constexpr const char* kGeneration = "select generation from mesh_clusters where cluster_id = $1";

}  // namespace

std::shared_ptr<const MeshView> MeshViews::get(Tx& tx, const ClusterId& cluster, SystemTime now) {
  const Rows rows = tx.query(kGeneration, {cluster});
  const std::int64_t generation = rows.empty() ? 0 : rows[0].integer("generation");
  {
    const std::lock_guard lock(mutex_);
    const auto found = kept_.find(cluster.str());
    if (found != kept_.end() && found->second.generation == generation) return found->second.view;
  }
  auto view = std::make_shared<const MeshView>(load_mesh(tx, cluster, now));
  const std::lock_guard lock(mutex_);
  Kept& kept = kept_[cluster.str()];
  if (kept.generation < generation) kept = {generation, view};
  return view;
}

}  // namespace rap::cp
