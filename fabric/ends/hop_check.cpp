#include "fabric/ends/hop_check.hpp"

#include <algorithm>

#include "fabric/routing/rules.hpp"

namespace rap::fabric {

namespace {

using routing::Directory;
using routing::kNoNode;
using routing::NodeIndex;

Result<std::vector<NodeIndex>> route_of(const Directory& directory, const MeshRequest& request,
                                        NodeIndex from) {
  std::vector<NodeIndex> out{from};
  for (const std::string& id : request.path) {
    const NodeIndex node = directory.find(id);
    if (node == kNoNode) return fail(Errc::not_found, "path: " + id + " is not in the directory");
    out.push_back(node);
  }
  return out;
}

// The path ends where the target is. A relay's directory may leave services out that are not its
// concern: then the end says so itself, which has its own.
Status check_end(const Directory& directory, const MeshRequest& request, NodeIndex end) {
  if (request.target.kind == MeshTarget::Kind::node) {
    if (request.target.id == directory.id(end)) return {};
    return fail(Errc::mismatch, "path: does not end at the node that is asked for");
  }
  const routing::Group* group = directory.service(request.target.id);
  if (group == nullptr) return {};
  const auto members = directory.members(*group);
  if (std::find(members.begin(), members.end(), end) != members.end()) return {};
  return fail(Errc::mismatch, "path: the service is not at its end");
}

}  // namespace

Result<Hop> check_hop(const Directory& directory, const CarryVerifier& leases,
                      const MeshRequest& request, NodeIndex from, routing::Moment now) {
  if (request.path.empty() || request.path.front() != directory.id(directory.self())) {
    return fail(Errc::mismatch, "path: this node is not next");
  }
  Hop out;
  const bool own = request.carry.empty();
  if (!own) {
    CarryUse use;
    use.target = request.target;
    use.channel_class = request.channel_class;
    const auto claims = leases.verify(request.carry, use, now.wall);
    if (!claims) return fail(claims.error());
    const bool trace = claims->verb == CarryVerb::trace;
    if (request.trace && !trace) return fail(Errc::forbidden, "rap-trace: not with this lease");
    out.echo = trace;
    out.organization = claims->organization_id;
    // A node's own streams come from anywhere; others have passed an entry.
    if (!directory.has(from, routing::Role::entry_node) &&
        !directory.has(from, routing::Role::relay_node)) {
      return fail(Errc::forbidden,
                  "path: " + std::string(directory.id(from)) + " is neither entry nor relay");
    }
  } else {
    out.echo = true;
  }

  const auto route = route_of(directory, request, from);
  if (!route) return fail(route.error());
  routing::Request asked;
  asked.cluster_id = directory.cluster_id();
  asked.origin = from;
  asked.kind = request.target.kind == MeshTarget::Kind::node ? routing::TargetKind::node
                                                             : routing::TargetKind::service;
  asked.target = request.target.id;
  asked.organization = out.organization;
  asked.channel_class = request.channel_class;
  // Only the end knows whether this resumes a session; without the control plane nobody has a
  // session lease for a new one anyway.
  asked.purpose = routing::Purpose::existing_stream;
  const Status allowed = routing::check_route(directory, asked, *route, now);
  if (!allowed) return fail(allowed.error());
  const Status ends = check_end(directory, request, route->back());
  if (!ends) return fail(ends.error());

  out.end = request.path.size() == 1;
  if (out.end) {
    if (!out.echo) out.service = request.target.id;
    return out;
  }
  out.next = request.path[1];
  out.onward = request;
  out.onward.path.erase(out.onward.path.begin());
  return out;
}

}  // namespace rap::fabric
