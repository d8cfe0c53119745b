// Strict JSON in, and short ways to look into it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace rap {

struct JsonLimits {
  std::size_t bytes_max = 1 << 20;
  std::size_t depth_max = 32;
};

// Parses one JSON text. `malformed` also for a duplicate member, invalid UTF-8, a byte order mark
// or anything after the value: a document has one reading. `too_large` over a limit.
Result<boost::json::value> parse_json(std::string_view text, JsonLimits limits = {});

// Member `key` of an object, when it is there and of that type; fails with `invalid` naming the
// key.
Result<std::string> json_string(const boost::json::object& object, std::string_view key);
Result<std::int64_t> json_int(const boost::json::object& object, std::string_view key);
Result<bool> json_bool(const boost::json::object& object, std::string_view key);
Result<const boost::json::object*> json_object(const boost::json::object& object,
                                               std::string_view key);
Result<const boost::json::array*> json_array(const boost::json::object& object,
                                             std::string_view key);

// The same for members that may be absent or null; nullopt then, and also for another type.
std::optional<std::string> json_string_or_none(const boost::json::object& object,
                                               std::string_view key);
std::optional<std::int64_t> json_int_or_none(const boost::json::object& object,
                                             std::string_view key);

}  // namespace rap
