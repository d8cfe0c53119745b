// What a request may ask after '?': the same list checks requests and describes them in OpenAPI.
#pragma once

#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/net/http.hpp"
#include "base/result.hpp"

namespace rap::cp {

struct QueryParameter {
  std::string_view name;
  std::string_view words = {};  // "a|b|c": one of these; empty: the handler looks at it
  enum class Many { one, several } many = Many::one;  // words with commas between

  QueryParameter(const char* of_name) : name(of_name) {}
  QueryParameter(std::string_view of_name, std::string_view of_words, Many how_many = Many::one)
      : name(of_name), words(of_words), many(how_many) {}
};

// "a|b|c" taken apart.
std::vector<std::string_view> words_of(std::string_view words);

// `invalid` naming what is allowed: a parameter that is not of `known`, that comes twice, that is
// not percent-encoded text, or a word that is none of its words. Pure.
Status check_query(const net::HttpRequest& request, const std::vector<QueryParameter>& known);

// JSON Schema of its value.
boost::json::object query_schema(const QueryParameter& parameter);

}  // namespace rap::cp
