// What organizations give access to.
#pragma once

#include "controlplane/http/route.hpp"

namespace rap::cp {

void add_resource_routes(std::vector<Route>& routes);

}  // namespace rap::cp
