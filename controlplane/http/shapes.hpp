// What answers look like: every object of the API with the closed list of its members. Routes name
// them; OpenAPI shows them; the integration tests hold every answer of a running server to them.
#pragma once

#include <set>
#include <string_view>

#include <boost/json/fwd.hpp>

namespace rap::cp {

// The words of members and of query parameters.
inline constexpr std::string_view kSessionStateWords =
    "opening|active|detached|closing|closed|failed";
inline constexpr std::string_view kJoinRequestStatusWords = "pending|approved|rejected";
inline constexpr std::string_view kOrderWords = "oldest|newest";

// A page of a shape is named after it: "ClusterList".
inline constexpr std::string_view kListSuffix = "List";

// "Cluster", or "ClusterList".
bool is_shape(std::string_view name);

// JSON Schemas by name, for components/schemas: every shape, and these lists of them.
boost::json::object shape_schemas(const std::set<std::string_view>& lists);

}  // namespace rap::cp
