// Where a list goes on: the key of the last row, in a form that says it is not for reading.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace rap::cp {

// A key of ours: [a-z0-9_], at most 64 bytes.
std::string make_cursor(std::string_view key);
// `malformed` or `too_large` for what make_cursor() did not make.
Result<std::string> parse_cursor(std::string_view cursor);

}  // namespace rap::cp
