// Text of others made fit to be written down.
#pragma once

#include <string>
#include <string_view>

namespace rap {

// The text with every byte that is not part of a UTF-8 sequence replaced by '?': such text can be a
// JSON string.
std::string as_utf8(std::string_view text);

// The longest beginning of at most `most` bytes that cuts no UTF-8 sequence in two.
std::string_view utf8_prefix(std::string_view text, std::size_t most);

}  // namespace rap
