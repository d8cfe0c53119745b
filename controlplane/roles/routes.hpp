// Role assignments.
#pragma once

#include "controlplane/http/route.hpp"

namespace rap::cp {

void add_role_routes(std::vector<Route>& routes);

}  // namespace rap::cp
