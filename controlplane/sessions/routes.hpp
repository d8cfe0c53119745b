// Sessions: of people, and as nodes report them.
#pragma once

#include "controlplane/http/route.hpp"

namespace rap::cp {

void add_session_routes(std::vector<Route>& routes);
void add_node_session_routes(std::vector<Route>& routes);

}  // namespace rap::cp
