// Who may carry and end a stream: organization scope, regions, trust, roles. Inside fabric/routing,
// and for relays that check a route they are given.
#pragma once

#include "fabric/routing/directory.hpp"
#include "fabric/routing/measurements.hpp"
#include "fabric/routing/request.hpp"

namespace rap::routing {

// One request's view of the rules. The referenced objects must outlive it. Allocates nothing.
class Rules {
 public:
  Rules(const Directory& directory, const Request& request);

  // Before anything else: cluster, age of the directory, authority.
  Rule admits(Moment now) const;
  Rule relay(NodeIndex node) const;
  // `by_name`: chosen among the members of a name, where a draining one is passed over.
  Rule destination(NodeIndex node, bool by_name) const;
  // `view` is the link from-to as it was measured.
  Rule link(NodeIndex from, NodeIndex to, const LinkView& view) const;
  std::size_t relays_max() const { return relays_max_; }
  OrganizationIndex organization() const { return organization_; }

 private:
  bool excluded(NodeIndex node) const;
  bool region_allowed(NodeIndex node) const;

  const Directory& directory_;
  const Policy& policy_;
  const Request& request_;
  const OrganizationRule* own_;  // nullptr: none
  OrganizationIndex organization_;
  Trust relay_trust_min_;
  std::size_t relays_max_;
  std::uint64_t regions_ = ~std::uint64_t{0};  // bit for each region; kRegionsMax is 64
};

// Whether a route that somebody else chose may pass, as a relay or the end checks it: `malformed`
// (fewer than two nodes, more than kPathNodesMax, an index beyond the directory, a node twice: a
// loop), `forbidden` with the rule and the node. Links are not looked at: the one who asks has its
// own.
Status check_route(const Directory& directory, const Request& request,
                   std::span<const NodeIndex> route, Moment now);

}  // namespace rap::routing
