// Small meshes for tests and benches of fabric/routing and fabric/peers: nodes by number.
#pragma once

#include <string>
#include <vector>

#include "fabric/routing/directory.hpp"

namespace rap::test {

inline const std::string kCluster = "cls_00000000000000000000000000";
inline const SystemTime kIssued = from_unix_seconds(1'795'000'000);

inline std::string numbered(std::string_view prefix, unsigned number) {
  const std::string digits = std::to_string(number);
  return std::string(prefix) + std::string(26 - digits.size(), '0') + digits;
}
inline std::string node_id(unsigned number) {
  return numbered("nod_", number);
}
inline std::string org_id(unsigned number) {
  return numbered("org_", number);
}

inline routing::NodeEntry node(unsigned number, routing::RoleMask roles,
                               std::string region = "eu") {
  routing::NodeEntry out;
  out.node_id = node_id(number);
  out.spiffe_id = routing::mesh_spiffe(kCluster, out.node_id);
  out.keys.push_back(sha256(out.node_id));
  out.roles = static_cast<routing::RoleMask>(roles | mask(routing::Role::core_mesh));
  out.region = std::move(region);
  out.endpoints.push_back("10." + std::to_string(number / 65536) + "." +
                          std::to_string(number / 256 % 256) + "." + std::to_string(number % 256) +
                          ":7443");
  out.version = "0.1.0";
  out.trust = routing::Trust::high;
  out.load_permille = 100;
  return out;
}

inline routing::NodeEntry relay(unsigned number, std::string region = "eu") {
  return node(number, mask(routing::Role::relay_node), std::move(region));
}

// Behind NAT: no endpoints, reachable over what it has dialled.
inline routing::NodeEntry hidden(unsigned number, const std::vector<unsigned>& attached,
                                 std::string region = "eu") {
  routing::NodeEntry out = node(number, mask(routing::Role::service), std::move(region));
  out.endpoints.clear();
  for (const unsigned other : attached) out.attached.push_back(node_id(other));
  return out;
}

// A directory for the node with the lowest number.
inline routing::DirectoryDoc mesh(std::vector<routing::NodeEntry> nodes) {
  routing::DirectoryDoc out;
  out.cluster_id = kCluster;
  out.node_id = nodes.front().node_id;
  out.authority_term = 3;
  out.version = 7;
  out.issued_at = kIssued;
  out.expires_at = kIssued + std::chrono::hours(1);
  out.nodes = std::move(nodes);
  return out;
}

inline routing::Directory compiled(routing::DirectoryDoc doc) {
  auto out = routing::Directory::compile(std::move(doc));
  if (!out) throw std::runtime_error(out.error().text());
  return std::move(*out);
}

inline routing::Moment at(std::int64_t ms) {
  return {routing::MonoTime{ms}, kIssued + std::chrono::milliseconds(ms)};
}

}  // namespace rap::test
