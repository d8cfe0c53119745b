// The one JSON Schema validator: agent.yaml, and the configuration and session options of plugins.
// Drafts 4 to 7; of 2020-12 the keywords that mean the same there, which is what plugins use.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/result.hpp"

namespace rap {

struct SchemaProblem {
  std::string pointer;  // JSON pointer into the document: "/mesh/listen"; "/" is the whole
  std::string detail;   // for people; says what to do
};

// Everything that is wrong with `document`, unknown keys first; empty when it is good. Unknown keys
// are wrong only where the schema says "additionalProperties": false. Fails with `invalid` when
// `schema` itself is none: not an object, a keyword of the wrong type, a reference that leads out
// of it or to itself.
Result<std::vector<SchemaProblem>> check_against_schema(const boost::json::value& document,
                                                        const boost::json::value& schema);

// The same for a text as plugins carry it, at most 256 KiB, answered as text_of().
Result<std::string> check_against_schema(const boost::json::value& document,
                                         std::string_view schema_text);

// "/pointer: reason; /pointer: reason", at most eight; empty when there are none.
std::string text_of(const std::vector<SchemaProblem>& problems);

// The candidate that `word` most likely meant, or nothing: at most two edits, and fewer than half
// of the letters.
std::string_view did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace rap
