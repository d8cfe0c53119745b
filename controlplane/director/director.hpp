// The director: one signed repository (D) per node, made when it is asked for and kept until its
// content changes.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/clusters/keys.hpp"
#include "controlplane/http/call.hpp"
#include "controlplane/mesh/views.hpp"

namespace rap::cp {

struct Route;

struct DirectorSet {
  std::int64_t version = 0;                      // of its timestamp: what nodes compare
  std::map<std::string, std::string> files;      // metadata by file name
  std::map<std::string, std::string> documents;  // snap/ targets by path
};

// Any thread. All need Scope::platform().
class Director {
 public:
  Director(ClusterKeys& keys, std::filesystem::path version_storage)
      : keys_(keys), version_storage_(std::move(version_storage)) {}

  // The newest set; signs a new one when the node's desired_seq moved and the content is another,
  // or the timestamp is past a third of its life.
  DirectorSet current(Tx& tx, const NodeCaller& node, SystemTime now);

  // One metadata file: of the newest set, or of one of the few before it.
  std::optional<std::string> metadata(Tx& tx, const NodeCaller& node, const std::string& file,
                                      SystemTime now);
  // The text of a snap/ target, by its consistent name ("snap/<sha256>.roles.json") or its path.
  std::optional<std::string> document(Tx& tx, const NodeCaller& node, const std::string& path);

  const std::filesystem::path& version_storage() const { return version_storage_; }
  MeshViews& mesh() { return mesh_; }

 private:
  ClusterKeys& keys_;
  std::filesystem::path version_storage_;
  MeshViews mesh_;
};

void add_tuf_routes(std::vector<Route>& routes);

}  // namespace rap::cp
