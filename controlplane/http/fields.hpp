// What a request body may hold: the same list checks requests and describes them in OpenAPI.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "controlplane/http/problem.hpp"

namespace rap::cp {

// A text is one line; `lines` may hold line ends and tabs (keys, requests, secrets, passwords).
enum class FieldType { text, lines, slug, integer, boolean, object, texts, objects, items };
enum class Need { required, optional };

struct Field {
  std::string_view name;
  FieldType type = FieldType::text;
  Need need = Need::required;
  std::int64_t min = 0;  // characters, value, or items
  std::int64_t max = 0;
};

// Names of people's making are short; 200 characters hold any of them.
inline constexpr std::int64_t kNameMax = 200;

inline Field text_field(std::string_view name, std::int64_t min = 1, std::int64_t max = kNameMax,
                        Need need = Need::required) {
  return {name, FieldType::text, need, min, max};
}
inline Field lines_field(std::string_view name, std::int64_t min, std::int64_t max) {
  return {name, FieldType::lines, Need::required, min, max};
}
inline Field optional_text(std::string_view name, std::int64_t max = kNameMax) {
  return {name, FieldType::text, Need::optional, 0, max};
}

// Every break of the contract: missing, unknown, of another type, too long. Empty: all is well. A
// null counts as absent.
std::vector<FieldError> check_fields(const boost::json::object& body,
                                     const std::vector<Field>& fields);

// JSON Schema of such a body.
boost::json::object fields_schema(const std::vector<Field>& fields);

}  // namespace rap::cp
