// Releases as Version Storage lists them.
#pragma once

#include "controlplane/http/route.hpp"

namespace rap::cp {

void add_release_routes(std::vector<Route>& routes);

}  // namespace rap::cp
