// A plugin's schema and a configuration, both from outside: the first line is the schema.
#include <cstdint>
#include <string_view>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/schema/json_schema.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t end = text.find('\n');
  if (end == text.npos) return 0;
  const auto document = rap::parse_json(text.substr(end + 1));
  if (document) (void)rap::check_against_schema(*document, text.substr(0, end)).has_value();
  return 0;
}
