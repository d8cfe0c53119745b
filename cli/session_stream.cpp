#include "cli/session_stream.hpp"

#include "fabric/client.hpp"

namespace rap::cli {
namespace {

fabric::MeshSessionOptions over_mesh(SessionDial& dial) {
  fabric::MeshSessionOptions out;
  MeshWay& mesh = *dial.access.mesh;
  out.entries = std::move(mesh.entries);
  out.cluster_id = std::move(dial.access.cluster_id);
  out.cluster_ca_pem = std::move(mesh.cluster_ca_pem);
  out.identity = std::move(dial.identity);
  out.service = std::move(mesh.service);
  out.carry = std::move(mesh.carry);
  out.renew = std::move(dial.renew);
  out.lease = std::move(mesh.lease);
  out.progress = std::move(dial.progress);
  return out;
}

fabric::SessionStreamOptions to_node(SessionDial& dial) {
  fabric::SessionStreamOptions out;
  NodeWay& node = *dial.access.node;
  out.endpoint = std::move(node.endpoint);
  out.spiffe_id = std::move(node.spiffe_id);
  out.cluster_ca_pem = std::move(node.cluster_ca_pem);
  out.identity = std::move(dial.identity);
  out.session_id = std::move(dial.access.session_id);
  out.lease = std::move(node.lease);
  return out;
}

}  // namespace

net::Task<Result<net::ByteStreamPtr>> open_stream(SessionDial dial, const SessionClocks& clocks) {
  if (dial.access.mesh) {
    return fabric::open_mesh_session(over_mesh(dial), clocks.wall, clocks.resume);
  }
  return fabric::open_session_stream(to_node(dial));
}

std::string place_of(const SessionAccess& access) {
  if (!access.mesh) return "node " + access.node->endpoint;
  std::string out = "entry";
  for (const std::string& entry : access.mesh->entries) {
    out += (&entry == &access.mesh->entries.front() ? " " : ", ") + entry;
  }
  return out;
}

}  // namespace rap::cli
