// contracts/agent-config.schema.json applied to a document.
#pragma once

#include <string_view>
#include <vector>

#include "base/schema/json_schema.hpp"

namespace rap::agent {

using ConfigProblem = SchemaProblem;

// The published schema, word for word.
std::string_view config_schema_text();

// Everything that is wrong, unknown keys first; empty when the document is good.
std::vector<ConfigProblem> check_config(const boost::json::value& document);

}  // namespace rap::agent
