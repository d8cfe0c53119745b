#include "base/json.hpp"

#include <cmath>
#include <set>
#include <vector>

#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>

namespace rap {
namespace {

namespace json = boost::json;

// Watches the same text the document is built from and refuses repeated member names, which the
// document type would silently merge.
struct DuplicateHandler {
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  std::vector<std::set<std::string>> objects;
  std::string key;
  std::string duplicate;

  using Ec = json::error_code;
  bool on_document_begin(Ec&) { return true; }
  bool on_document_end(Ec&) { return true; }
  bool on_object_begin(Ec&) {
    objects.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t, Ec&) {
    objects.pop_back();
    return true;
  }
  bool on_array_begin(Ec&) { return true; }
  bool on_array_end(std::size_t, Ec&) { return true; }
  bool on_key_part(json::string_view part, std::size_t, Ec&) {
    key.append(part);
    return true;
  }
  bool on_key(json::string_view part, std::size_t, Ec& ec) {
    key.append(part);
    if (!objects.back().insert(key).second) {
      duplicate = key;
      ec = json::make_error_code(json::error::exception);
      return false;
    }
    key.clear();
    return true;
  }
  bool on_string_part(json::string_view, std::size_t, Ec&) { return true; }
  bool on_string(json::string_view, std::size_t, Ec&) { return true; }
  bool on_number_part(json::string_view, Ec&) { return true; }
  bool on_int64(std::int64_t, json::string_view, Ec&) { return true; }
  bool on_uint64(std::uint64_t, json::string_view, Ec&) { return true; }
  bool on_double(double value, json::string_view, Ec& ec) {
    // 1e999 would become infinity, which cannot be written back.
    if (!std::isfinite(value)) ec = json::make_error_code(json::error::exponent_overflow);
    return std::isfinite(value);
  }
  bool on_bool(bool, Ec&) { return true; }
  bool on_null(Ec&) { return true; }
  bool on_comment_part(json::string_view, Ec&) { return true; }
  bool on_comment(json::string_view, Ec&) { return true; }
};

tl::unexpected<Error> missing(std::string_view key, std::string_view want) {
  return fail(Errc::invalid, "member " + std::string(key) + ": want " + std::string(want));
}

const json::value* member(const json::object& object, std::string_view key) {
  return object.if_contains(json::string_view(key.data(), key.size()));
}

}  // namespace

Result<json::value> parse_json(std::string_view text, JsonLimits limits) {
  if (text.size() > limits.bytes_max) {
    return fail(Errc::too_large, "JSON: more than " + std::to_string(limits.bytes_max) + " bytes");
  }
  json::parse_options options;
  options.max_depth = limits.depth_max;

  json::error_code ec;
  json::basic_parser<DuplicateHandler> watcher(options);
  const std::size_t used = watcher.write_some(false, text.data(), text.size(), ec);
  if (!watcher.handler().duplicate.empty()) {
    return fail(Errc::malformed, "JSON: member \"" + watcher.handler().duplicate + "\" repeats");
  }
  if (!ec && used < text.size()) return fail(Errc::malformed, "JSON: text after the value");
  if (ec == json::error::too_deep) return fail(Errc::too_large, "JSON: nested too deeply");
  if (ec)
    return fail(Errc::malformed, "JSON: " + ec.message() + " at byte " + std::to_string(used));

  json::value value = json::parse(text, ec, {}, options);
  if (ec) return fail(Errc::malformed, "JSON: " + ec.message());
  return value;
}

Result<std::string> json_string(const json::object& object, std::string_view key) {
  const json::value* value = member(object, key);
  if (value == nullptr || !value->is_string()) return missing(key, "a string");
  return std::string(value->get_string());
}

Result<std::int64_t> json_int(const json::object& object, std::string_view key) {
  const json::value* value = member(object, key);
  if (value == nullptr || !value->is_int64()) return missing(key, "an integer");
  return value->get_int64();
}

Result<bool> json_bool(const json::object& object, std::string_view key) {
  const json::value* value = member(object, key);
  if (value == nullptr || !value->is_bool()) return missing(key, "true or false");
  return value->get_bool();
}

Result<const json::object*> json_object(const json::object& object, std::string_view key) {
  const json::value* value = member(object, key);
  if (value == nullptr || !value->is_object()) return missing(key, "an object");
  return &value->get_object();
}

Result<const json::array*> json_array(const json::object& object, std::string_view key) {
  const json::value* value = member(object, key);
  if (value == nullptr || !value->is_array()) return missing(key, "an array");
  return &value->get_array();
}

std::optional<std::string> json_string_or_none(const json::object& object, std::string_view key) {
  const json::value* value = member(object, key);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(value->get_string());
}

std::optional<std::int64_t> json_int_or_none(const json::object& object, std::string_view key) {
  const json::value* value = member(object, key);
  if (value == nullptr || !value->is_int64()) return std::nullopt;
  return value->get_int64();
}

}  // namespace rap
