#include "fabric/node/caches.hpp"

#include "base/file.hpp"
#include "base/log.hpp"

namespace rap::fabric {
namespace {

std::optional<std::string> text_of(const std::filesystem::path& file, std::size_t most) {
  auto text = read_text_file(file, most);
  if (text) return std::move(*text);
  if (text.error().code != Errc::not_found) {
    log::warn("mesh: a cache is not read; it is written anew", {{"error", text.error().text()}});
  }
  return std::nullopt;
}

template <typename T>
std::optional<T> taken(Result<T> read, const std::filesystem::path& file) {
  if (read) return std::move(*read);
  log::warn("mesh: a cache is not used; it is written anew",
            {{"file", file.string()}, {"error", read.error().text()}});
  return std::nullopt;
}

}  // namespace

Caches::Caches(std::filesystem::path folder, std::string cluster_id, std::string node_id,
               SystemTime now)
    : routes(cluster_id, node_id),
      folder_(std::move(folder)),
      cluster_id_(std::move(cluster_id)),
      node_id_(std::move(node_id)) {
  if (folder_.empty()) return;
  if (const auto text = text_of(folder_ / "peers", peers::kPeerFileBytesMax)) {
    auto read = taken(peers::load_peers(*text, cluster_id_, node_id_), folder_ / "peers");
    if (read) remembered = std::move(*read);
  }
  if (const auto text = text_of(folder_ / "routes", routing::kRouteFileBytesMax)) {
    auto read =
        taken(routing::RouteCache::load(*text, cluster_id_, node_id_, now), folder_ / "routes");
    if (read) routes = std::move(*read);
  }
}

void Caches::write(const char* name, const std::string& text, std::string& last) {
  if (text == last) return;
  const Status written = write_file_atomic(folder_ / name, text, 0600);
  if (written) {
    last = text;
    complained_ = false;
  } else if (!std::exchange(complained_, true)) {
    log::warn("mesh: a cache cannot be written", {{"error", written.error().text()}});
  }
}

void Caches::save(const std::vector<peers::RememberedPeer>& now_known) {
  if (folder_.empty()) return;
  write("peers", peers::save_peers(cluster_id_, node_id_, now_known), peers_written_);
  write("routes", routes.save(), routes_written_);
}

}  // namespace rap::fabric
