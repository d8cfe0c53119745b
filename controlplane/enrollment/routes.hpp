// Join tokens, join requests, enrollment, certificate rotation.
#pragma once

#include "controlplane/http/route.hpp"

namespace rap::cp {

void add_join_token_routes(std::vector<Route>& routes);
void add_enroll_routes(std::vector<Route>& routes);
void add_join_request_routes(std::vector<Route>& routes);

}  // namespace rap::cp
