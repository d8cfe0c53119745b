#include "controlplane/http/fields.hpp"

#include <fmt/format.h>

#include <algorithm>

#include <boost/json.hpp>

namespace rap::cp {
namespace {

constexpr std::string_view kSlugPattern = "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$";

bool is_slug(std::string_view text) {
  if (text.empty() || text.size() > 40 || text.front() == '-' || text.back() == '-') return false;
  return std::ranges::all_of(
      text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

// Control characters have no place in a name and every place in a log injection.
bool has_control(std::string_view text, FieldType type) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto u = static_cast<unsigned char>(text[i]);
    const bool line = type == FieldType::lines && (u == '\n' || u == '\r' || u == '\t');
    if ((u < 0x20 && !line) || u == 0x7f) return true;
    // C1: terminals act on it too. The parser took only UTF-8, where it is C2 80 to C2 9F.
    const bool pair = type == FieldType::text && u == 0xc2 && i + 1 < text.size();
    if (pair && static_cast<unsigned char>(text[i + 1]) < 0xa0) return true;
  }
  return false;
}

std::string check_size(std::int64_t size, const Field& field, std::string_view unit) {
  if (size < field.min) return fmt::format("at least {} {}", field.min, unit);
  if (field.max > 0 && size > field.max) return fmt::format("at most {} {}", field.max, unit);
  return {};
}

std::string check_value(const boost::json::value& value, const Field& field) {
  switch (field.type) {
    case FieldType::text:
    case FieldType::lines: {
      if (!value.is_string()) return "must be a string";
      const std::string_view text = value.get_string();
      if (has_control(text, field.type)) return "has control characters";
      return check_size(static_cast<std::int64_t>(text.size()), field, "bytes");
    }
    case FieldType::slug:
      if (!value.is_string()) return "must be a string";
      return is_slug(std::string_view(value.get_string()))
                 ? ""
                 : "1 to 40 of a-z, 0-9 and '-', not at the ends";
    case FieldType::integer: {
      if (!value.is_int64()) return "must be an integer";
      const auto number = value.get_int64();
      if (number < field.min || number > field.max) {
        return fmt::format("from {} to {}", field.min, field.max);
      }
      return {};
    }
    case FieldType::boolean:
      return value.is_bool() ? "" : "must be true or false";
    case FieldType::object:
      return value.is_object() ? "" : "must be an object";
    case FieldType::texts:
      if (!value.is_array()) return "must be an array of strings";
      for (const auto& item : value.get_array()) {
        if (!item.is_string() || item.get_string().empty() || item.get_string().size() > 200) {
          return "must hold strings of 1 to 200 bytes";
        }
        if (has_control(item.get_string(), FieldType::text)) return "has control characters";
      }
      return check_size(static_cast<std::int64_t>(value.get_array().size()), field, "items");
    case FieldType::objects:
      if (!value.is_array()) return "must be an array of objects";
      for (const auto& item : value.get_array()) {
        if (!item.is_object()) return "must hold objects";
      }
      return check_size(static_cast<std::int64_t>(value.get_array().size()), field, "items");
    case FieldType::items:
      if (!value.is_array()) return "must be an array";
      return check_size(static_cast<std::int64_t>(value.get_array().size()), field, "items");
  }
  return "unknown";
}

}  // namespace

std::vector<FieldError> check_fields(const boost::json::object& body,
                                     const std::vector<Field>& fields) {
  std::vector<FieldError> errors;
  for (const Field& field : fields) {
    const auto* value = body.if_contains(field.name);
    const std::string pointer = "/" + std::string(field.name);
    if (value == nullptr || value->is_null()) {
      if (field.need == Need::required) errors.push_back({pointer, "is required"});
      continue;
    }
    std::string wrong = check_value(*value, field);
    if (!wrong.empty()) errors.push_back({pointer, std::move(wrong)});
  }
  for (const auto& member : body) {
    const std::string_view key = member.key();
    if (std::ranges::none_of(fields, [&](const Field& field) { return field.name == key; })) {
      errors.push_back({"/" + std::string(key), "is not a field of this request"});
    }
  }
  return errors;
}

boost::json::object fields_schema(const std::vector<Field>& fields) {
  boost::json::object properties;
  boost::json::array required;
  for (const Field& field : fields) {
    boost::json::object p;
    switch (field.type) {
      case FieldType::text:
      case FieldType::lines:
        p["type"] = "string";
        p["minLength"] = field.min;
        if (field.max > 0) p["maxLength"] = field.max;
        break;
      case FieldType::slug:
        p["type"] = "string";
        p["pattern"] = kSlugPattern;
        break;
      case FieldType::integer:
        p["type"] = "integer";
        p["minimum"] = field.min;
        p["maximum"] = field.max;
        break;
      case FieldType::boolean:
        p["type"] = "boolean";
        break;
      case FieldType::object:
        p["type"] = "object";
        break;
      case FieldType::texts:
      case FieldType::objects:
      case FieldType::items: {
        boost::json::object items;
        if (field.type == FieldType::texts) items["type"] = "string";
        if (field.type == FieldType::objects) items["type"] = "object";
        p["type"] = "array";
        p["items"] = std::move(items);
        if (field.max > 0) p["maxItems"] = field.max;
        break;
      }
    }
    if (field.need == Need::required) {
      required.emplace_back(field.name);
    } else {
      const boost::json::value plain = p["type"];
      p["type"] = boost::json::array{plain, "null"};
    }
    properties[field.name] = std::move(p);
  }
  boost::json::object schema;
  schema["type"] = "object";
  schema["additionalProperties"] = false;
  schema["properties"] = std::move(properties);
  if (!required.empty()) schema["required"] = std::move(required);
  return schema;
}

}  // namespace rap::cp
