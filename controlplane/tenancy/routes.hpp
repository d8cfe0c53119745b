// Organizations, people, and who belongs where.
#pragma once

#include "controlplane/http/route.hpp"

namespace rap::cp {

void add_organization_routes(std::vector<Route>& routes);
void add_user_routes(std::vector<Route>& routes);
void add_standing_routes(std::vector<Route>& routes);
void add_membership_routes(std::vector<Route>& routes);

}  // namespace rap::cp
