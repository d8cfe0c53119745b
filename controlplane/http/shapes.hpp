// What answers look like: every object of the API with the closed list of its members. Routes name
// them; OpenAPI shows them; the integration tests hold every answer of a running server to them.
#pragma once

#include <string_view>

#include <boost/json/fwd.hpp>

namespace rap::cp {

// "Cluster", or "ClusterList" for a page of them.
bool is_shape(std::string_view name);

// JSON Schemas by name, for components/schemas.
boost::json::object shape_schemas();

}  // namespace rap::cp
