#include "base/text.hpp"

namespace rap {
namespace {

// Bytes of the sequence that begins with `c`; 0 when none does.
std::size_t length_of(unsigned char c) {
  if (c < 0x80) return 1;
  if (c < 0xc2) return 0;
  if (c < 0xe0) return 2;
  if (c < 0xf0) return 3;
  return c < 0xf5 ? 4 : 0;
}

bool is_sequence(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  for (std::size_t i = 1; i < text.size(); ++i) {
    if ((at(i) & 0xc0) != 0x80) return false;
  }
  if (text.size() < 3) return true;
  // Longer than needed, a surrogate, beyond U+10FFFF.
  if (at(0) == 0xe0) return at(1) >= 0xa0;
  if (at(0) == 0xed) return at(1) < 0xa0;
  if (at(0) == 0xf0) return at(1) >= 0x90;
  if (at(0) == 0xf4) return at(1) < 0x90;
  return true;
}

}  // namespace

std::string as_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = length_of(static_cast<unsigned char>(text.front()));
    if (length == 0 || length > text.size() || !is_sequence(text.substr(0, length))) {
      out += '?';
      text.remove_prefix(1);
      continue;
    }
    out.append(text.substr(0, length));
    text.remove_prefix(length);
  }
  return out;
}

std::string_view utf8_prefix(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  // A continuation byte is 10xxxxxx; at most three follow one another.
  std::size_t end = most;
  while (end > 0 && most - end < 3 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace rap
