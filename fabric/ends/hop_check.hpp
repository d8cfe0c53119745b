// What a node checks of a stream that another node sends it: docs/contracts/mesh-streams.md. Pure.
#pragma once

#include "fabric/carry_lease.hpp"
#include "fabric/ends/request.hpp"
#include "fabric/routing/directory.hpp"

namespace rap::fabric {

// What this node is on the way of one stream.
struct Hop {
  bool end = false;          // else a relay
  std::string next;          // relay: the node to ask
  MeshRequest onward;        // relay: what to ask it
  bool echo = false;         // end: synthetic.echo answers
  std::string service;       // end, not echo: svc_..
  std::string organization;  // whose stream; empty: the platform's own
};

// `from` is who showed the mesh certificate. Fails with the codes of CarryVerifier::verify for the
// lease, of check_route for the path (`malformed`, `forbidden`), with `mismatch` (this node is not
// the next one, or the path ends elsewhere than the target), `not_found` (a node of the path is not
// in this node's directory), `forbidden` (`from` is neither entry nor relay; trace without the
// verb). Details name nodes: for nodes only.
Result<Hop> check_hop(const routing::Directory& directory, const CarryVerifier& leases,
                      const MeshRequest& request, routing::NodeIndex from, routing::Moment now);

}  // namespace rap::fabric
