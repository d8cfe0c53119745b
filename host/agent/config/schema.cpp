#include "host/agent/config/schema.hpp"

#include <boost/json.hpp>

#include "host/agent/config/schema_text.hpp"

namespace rap::agent {

std::string_view config_schema_text() {
  return kAgentConfigSchema;
}

std::vector<ConfigProblem> check_config(const boost::json::value& document) {
  // value(): the schema is our own, and a test holds it to being one.
  return check_against_schema(document, boost::json::parse(kAgentConfigSchema)).value();
}

}  // namespace rap::agent
