// Byte buffers and their text forms.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace rap {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(std::string_view text) {
  return {text.begin(), text.end()};
}

// Lower case.
std::string to_hex(ByteView bytes);
// Either case; `malformed` on odd length or another character.
Result<Bytes> from_hex(std::string_view text);

// RFC 4648 section 5, without padding.
std::string to_base64url(ByteView bytes);
// Accepts no padding, no white space and no non-zero trailing bits, so that one value has one text.
Result<Bytes> from_base64url(std::string_view text);

// RFC 4648 section 4, with padding.
std::string to_base64(ByteView bytes);
Result<Bytes> from_base64(std::string_view text);

// Takes the same time whatever the contents; lengths may differ and are not hidden.
bool equal_constant_time(ByteView a, ByteView b);

}  // namespace rap
