// Secrets of organizations: written by people, resolved by nodes.
#pragma once

#include "controlplane/http/route.hpp"

namespace rap::cp {

void add_secret_routes(std::vector<Route>& routes);

}  // namespace rap::cp
