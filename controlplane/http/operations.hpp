// /livez, /readyz, /v1/openapi.json.
#pragma once

#include "controlplane/http/route.hpp"

namespace rap::cp {

void add_operations_routes(std::vector<Route>& routes);

// The document that describes `routes`; contracts/openapi.json is its committed text.
std::string openapi_document(const std::vector<Route>& routes);

// contracts/openapi.json as it was at build time.
std::string_view committed_openapi();

}  // namespace rap::cp
