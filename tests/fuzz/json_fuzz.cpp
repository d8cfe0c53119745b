// The strict JSON parser: never crashes, and what it accepts it accepts again after being written
// out.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <boost/json.hpp>

#include "base/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto first = rap::parse_json(text);
  if (!first) return 0;
  const std::string again = boost::json::serialize(*first);
  if (!rap::parse_json(again)) std::abort();
  return 0;
}
