// contracts/agent-config.schema.json applied to a document.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

namespace rap::agent {

struct ConfigProblem {
  std::string pointer;  // JSON pointer: "/mesh/listen"
  std::string detail;   // for people; says what to do
};

// The published schema, word for word.
std::string_view config_schema_text();

// Everything that is wrong, unknown keys first; empty when the document is good.
std::vector<ConfigProblem> check_config(const boost::json::value& document);

// The candidate that `word` most likely meant, or nothing: at most two edits, and fewer than half
// of the letters.
std::string_view did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace rap::agent
