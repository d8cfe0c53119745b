// What a node tells the control plane of its place in the mesh: docs/contracts/mesh-control.md,
// "Reports". Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

#include "fabric/channel/hub.hpp"
#include "fabric/routing/measurements.hpp"

namespace rap::fabric {

// A relay has 20 peers and 256 leaves, and some that it lost. With the rest of the report it fits
// into the 60,000 bytes of one message to the agent.
inline constexpr std::size_t kReportedLinksMax = 360;
inline constexpr std::size_t kReportedAttachedMax = 8;

struct MeshReportHead {
  std::string boot_id;  // another one with every start of the process
  std::int64_t seq = 0;
  std::vector<std::string> endpoints;  // empty: somebody else says them
  std::optional<int> load_permille;
  bool draining = false;
};

// `links` are the connections that are there, `measurements` those of this node's peers in the
// indices of `directory`.
boost::json::object mesh_report(const MeshReportHead& head, const std::vector<LinkFacts>& links,
                                const routing::Directory& directory,
                                const routing::Measurements& measurements, routing::MonoTime now);

// What of it is worth telling at once: who is linked, over which relays this node is reached.
std::string mesh_report_gist(const boost::json::object& report);

}  // namespace rap::fabric
