#include "fabric/mesh_names.hpp"

#include "base/id.hpp"

namespace rap::fabric {

namespace {

constexpr std::string_view kServiceSuffix = ".service.rap.internal:1";
constexpr std::string_view kNodeSuffix = ".node.rap.internal:1";

std::optional<MeshTarget> target(MeshTarget::Kind kind, std::string_view id) {
  const std::string_view prefix =
      kind == MeshTarget::Kind::service ? kServiceIdPrefix : id_kind::Node::prefix;
  if (!is_id_text(id, prefix)) return std::nullopt;
  return MeshTarget{kind, std::string(id)};
}

// What stands between `before` and `after`, which together are not all of `text`.
std::optional<std::string_view> between(std::string_view text, std::string_view before,
                                        std::string_view after) {
  if (text.size() <= before.size() + after.size() || !text.starts_with(before) ||
      !text.ends_with(after)) {
    return std::nullopt;
  }
  return text.substr(before.size(), text.size() - before.size() - after.size());
}

std::string identity(std::string_view cluster_id, std::string_view path) {
  return "spiffe://" + std::string(cluster_id) + std::string(path);
}

}  // namespace

std::string mesh_authority(const MeshTarget& target) {
  return target.id +
         std::string(target.kind == MeshTarget::Kind::service ? kServiceSuffix : kNodeSuffix);
}

std::optional<MeshTarget> mesh_target_of_authority(std::string_view authority) {
  if (const auto id = between(authority, "", kServiceSuffix)) {
    return target(MeshTarget::Kind::service, *id);
  }
  if (const auto id = between(authority, "", kNodeSuffix)) {
    return target(MeshTarget::Kind::node, *id);
  }
  return std::nullopt;
}

std::string entry_spiffe(std::string_view cluster_id) {
  return identity(cluster_id, "/entry");
}

std::string service_spiffe(std::string_view cluster_id, std::string_view service) {
  return identity(cluster_id, "/service/" + std::string(service));
}

std::string target_spiffe(std::string_view cluster_id, const MeshTarget& target) {
  return target.kind == MeshTarget::Kind::service ? service_spiffe(cluster_id, target.id)
                                                  : mesh_spiffe(cluster_id, target.id);
}

std::optional<MeshTarget> target_of_spiffe(std::string_view cluster_id, std::string_view uri) {
  if (const auto id = between(uri, identity(cluster_id, "/service/"), "")) {
    return target(MeshTarget::Kind::service, *id);
  }
  if (const auto id = between(uri, identity(cluster_id, "/node/"), "/mesh")) {
    return target(MeshTarget::Kind::node, *id);
  }
  return std::nullopt;
}

}  // namespace rap::fabric
