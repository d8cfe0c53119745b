// Nodes as owners see them, and what nodes themselves say and ask.
#pragma once

#include "controlplane/http/route.hpp"

namespace rap::cp {

void add_node_routes(std::vector<Route>& routes);
void add_heartbeat_routes(std::vector<Route>& routes);
void add_node_event_routes(std::vector<Route>& routes);
void add_desired_routes(std::vector<Route>& routes);

}  // namespace rap::cp
