#include "fabric/routing/route_cache.hpp"

#include <algorithm>

#include "base/id.hpp"
#include "fabric/routing/sealed_text.hpp"

namespace rap::routing {

namespace {

constexpr std::string_view kKind = "rap-routes";
constexpr std::string_view kNone = "-";  // the platform, where an organization stands

std::vector<std::string> ids(const Path& path, const Directory& directory) {
  std::vector<std::string> out;
  for (const NodeIndex node : path.view()) out.emplace_back(directory.id(node));
  return out;
}

bool is_word(std::string_view text) {
  return !text.empty() && text.size() <= kNameCharsMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

std::optional<TargetKind> target_kind(std::string_view text) {
  for (std::size_t i = 0; i < kTargetKinds; ++i) {
    if (name(static_cast<TargetKind>(i)) == text) return static_cast<TargetKind>(i);
  }
  return std::nullopt;
}

std::optional<ChannelClass> channel_class(std::string_view text) {
  for (std::size_t i = 0; i < kChannelClasses; ++i) {
    if (name(static_cast<ChannelClass>(i)) == text) return static_cast<ChannelClass>(i);
  }
  return std::nullopt;
}

}  // namespace

RouteCache::RouteCache(std::string cluster_id, std::string node_id)
    : cluster_id_(std::move(cluster_id)), node_id_(std::move(node_id)) {}

void RouteCache::good(const RouteKey& key, const Path& path, const Directory& directory,
                      SystemTime now) {
  const bool storable =
      is_word(key.target) && (key.organization.empty() || is_word(key.organization));
  if (path.count < 2 || !storable) return;
  routes_[key] = {ids(path, directory), now};
  make_room();
}

void RouteCache::make_room() {
  while (routes_.size() > kRoutesMax) {
    routes_.erase(std::min_element(routes_.begin(), routes_.end(), [](auto& a, auto& b) {
      return a.second.good_at < b.second.good_at;
    }));
  }
}

void RouteCache::bad(const RouteKey& key, const Path& path, const Directory& directory) {
  const auto at = routes_.find(key);
  if (at != routes_.end() && at->second.nodes == ids(path, directory)) routes_.erase(at);
}

Path RouteCache::find(const RouteKey& key, const Directory& directory, SystemTime now) const {
  const auto at = routes_.find(key);
  if (at == routes_.end() || now - at->second.good_at > kRouteAgeMax) return {};
  Path out;
  for (const std::string& id : at->second.nodes) {
    const NodeIndex node = directory.find(id);
    if (node == kNoNode) return {};
    out.push(node);
  }
  return out;
}

std::string RouteCache::save() const {
  std::string body = "cluster " + cluster_id_ + "\nnode " + node_id_ + "\n";
  for (const auto& [key, route] : routes_) {
    body += "route " + std::string(name(key.kind)) + " " + std::string(name(key.channel_class)) +
            " " + (key.organization.empty() ? std::string(kNone) : key.organization) + " " +
            to_rfc3339(route.good_at) + " " + key.target;
    for (const std::string& node : route.nodes) body += " " + node;
    body += "\n";
  }
  return seal_text(kKind, body);
}

Result<RouteCache> RouteCache::load(std::string_view text, std::string_view cluster_id,
                                    std::string_view node_id, SystemTime now) {
  auto body = open_sealed(kKind, text, kRouteFileBytesMax);
  if (!body) return fail(body.error(), "route cache");
  RouteCache out{std::string(cluster_id), std::string(node_id)};
  std::string_view line;
  if (!next_line(*body, line) || line != "cluster " + out.cluster_id_ || !next_line(*body, line) ||
      line != "node " + out.node_id_) {
    return fail(Errc::mismatch, "route cache: of another node or cluster");
  }
  const auto wrong = [&](std::string_view what) {
    return fail(Errc::malformed, "route cache: " + std::string(what));
  };
  while (next_line(*body, line)) {
    if (next_word(line) != "route") return wrong("want route");
    const auto kind = target_kind(next_word(line));
    const auto of_class = channel_class(next_word(line));
    const std::string_view organization = next_word(line);
    const auto good_at = from_rfc3339(next_word(line));
    const std::string_view target = next_word(line);
    if (!kind || !of_class || !good_at || !is_word(target)) return wrong("a word of a route");
    if (organization != kNone && !OrganizationId::parse(organization)) {
      return wrong("an organization");
    }
    Route route;
    while (!line.empty() && route.nodes.size() <= kPathNodesMax) {
      route.nodes.emplace_back(next_word(line));
      if (!NodeId::parse(route.nodes.back())) return wrong("a node id");
    }
    if (route.nodes.size() < 2 || route.nodes.size() > kPathNodesMax) return wrong("a path");
    route.good_at = std::min(*good_at, now);  // a clock that was ahead
    if (now - route.good_at > kRouteAgeMax) continue;
    const RouteKey key{*kind, *of_class, std::string(target),
                       organization == kNone ? "" : std::string(organization)};
    if (!out.routes_.emplace(key, std::move(route)).second) return wrong("a route twice");
    if (out.routes_.size() > kRoutesMax) return fail(Errc::too_large, "route cache: routes");
  }
  if (!body->empty()) return wrong("a line without an end");
  return out;
}

}  // namespace rap::routing
