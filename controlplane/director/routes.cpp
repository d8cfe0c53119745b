#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>

#include <boost/json.hpp>

#include "controlplane/director/director.hpp"
#include "controlplane/http/route.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/releases/files.hpp"

namespace rap::cp {
namespace {

Reply json_text(std::string text) {
  Reply reply;
  reply.body = std::move(text);
  return reply;
}

Reply director_metadata(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  auto text = call.services->director.metadata(tx, call.node, call.path_value("file"), call.now);
  if (!text) refuse_not_found();
  return json_text(std::move(*text));
}

Reply director_target(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  const std::string& path = call.path_value("path");
  if (path.starts_with("rel/")) {
    // D lists the same bytes as R; R's copy is the only one.
    return stored_file(call.services->director.version_storage() / "targets", path);
  }
  auto text = call.services->director.document(tx, call.node, path);
  if (!text) refuse_not_found();
  return json_text(std::move(*text));
}

net::Task<Reply> release_metadata(const Call& call) {
  co_return stored_file(call.services->director.version_storage() / "metadata",
                        call.path_value("file"));
}

net::Task<Reply> release_target(const Call& call) {
  co_return stored_file(call.services->director.version_storage() / "targets",
                        call.path_value("path"));
}

}  // namespace

void add_tuf_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/tuf/director/metadata/{file}",
                    Who::node,
                    "Metadata of this node's director repository",
                    {{200, kJsonMedia}, 404},
                    director_metadata});
  routes.push_back({"GET",
                    "/tuf/director/targets/{path...}",
                    Who::node,
                    "Targets of this node's director repository",
                    {{200, kBytesMedia}, 404},
                    director_target});
  routes.push_back({"GET",
                    "/tuf/release/metadata/{file}",
                    Who::anyone,
                    "Metadata of the release repository",
                    {{200, kJsonMedia}, 404},
                    TaskHandler(release_metadata)});
  routes.push_back({"GET",
                    "/tuf/release/targets/{path...}",
                    Who::anyone,
                    "Artifacts of the release repository",
                    {{200, kBytesMedia}, 404},
                    TaskHandler(release_target)});
}

}  // namespace rap::cp
