// Clusters and their node groups.
#pragma once

#include "controlplane/http/route.hpp"

namespace rap::cp {

void add_cluster_routes(std::vector<Route>& routes);
void add_director_root_routes(std::vector<Route>& routes);
void add_node_group_routes(std::vector<Route>& routes);

}  // namespace rap::cp
