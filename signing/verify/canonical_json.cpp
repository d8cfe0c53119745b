#include "signing/verify/canonical_json.hpp"

#include <algorithm>
#include <vector>

#include <boost/json.hpp>

namespace rap::tuf {
namespace {

namespace json = boost::json;

void append_string(std::string& out, json::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

Status append(std::string& out, const json::value& value, std::size_t depth);

Status append_array(std::string& out, const json::array& array, std::size_t depth) {
  out += '[';
  const char* separator = "";
  for (const json::value& element : array) {
    out += separator;
    separator = ",";
    if (auto status = append(out, element, depth); !status) return status;
  }
  out += ']';
  return {};
}

Status append_object(std::string& out, const json::object& object, std::size_t depth) {
  // char_traits<char> compares as unsigned bytes, and byte order is code point order in UTF-8.
  std::vector<const json::key_value_pair*> members;
  members.reserve(object.size());
  for (const json::key_value_pair& member : object) members.push_back(&member);
  std::sort(members.begin(), members.end(), [](const auto* a, const auto* b) {
    return std::string_view(a->key().data(), a->key().size()) <
           std::string_view(b->key().data(), b->key().size());
  });
  out += '{';
  const char* separator = "";
  for (const json::key_value_pair* member : members) {
    out += separator;
    separator = ",";
    append_string(out, member->key());
    out += ':';
    if (auto status = append(out, member->value(), depth); !status) return status;
  }
  out += '}';
  return {};
}

Status append(std::string& out, const json::value& value, std::size_t depth) {
  if (depth > kCanonicalDepthMax) return fail(Errc::too_large, "canonical JSON: nested too deeply");
  switch (value.kind()) {
    case json::kind::null:
      out += "null";
      return {};
    case json::kind::bool_:
      out += value.get_bool() ? "true" : "false";
      return {};
    case json::kind::int64:
      out += std::to_string(value.get_int64());
      return {};
    case json::kind::uint64:
      out += std::to_string(value.get_uint64());
      return {};
    case json::kind::double_:
      return fail(Errc::unsupported, "canonical JSON: a floating-point number");
    case json::kind::string:
      append_string(out, value.get_string());
      return {};
    case json::kind::array:
      return append_array(out, value.get_array(), depth + 1);
    case json::kind::object:
      return append_object(out, value.get_object(), depth + 1);
  }
  return fail(Errc::internal, "canonical JSON: unknown kind");
}

}  // namespace

Result<std::string> canonical_json(const json::value& value) {
  std::string out;
  if (auto status = append(out, value, 0); !status) return fail(std::move(status.error()));
  return out;
}

}  // namespace rap::tuf
