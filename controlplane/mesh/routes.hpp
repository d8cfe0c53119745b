// The mesh as nodes, owners and organizations meet it. docs/contracts/mesh-control.md.
#pragma once

#include "controlplane/http/route.hpp"

namespace rap::cp {

void add_mesh_certificate_routes(std::vector<Route>& routes);
void add_mesh_report_routes(std::vector<Route>& routes);
void add_mesh_policy_routes(std::vector<Route>& routes);
void add_mesh_node_routes(std::vector<Route>& routes);
void add_mesh_organization_routes(std::vector<Route>& routes);
void add_egress_pool_routes(std::vector<Route>& routes);
void add_mesh_link_routes(std::vector<Route>& routes);
void add_mesh_explain_routes(std::vector<Route>& routes);
void add_mesh_access_routes(std::vector<Route>& routes);

}  // namespace rap::cp
