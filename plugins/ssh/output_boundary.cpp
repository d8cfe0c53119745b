#include "output_boundary.hpp"

#include <algorithm>

namespace rap::ssh {
namespace {

constexpr char kEscape = 0x1b;

int continuation_bytes(unsigned char lead) {
  if (lead >= 0xf0 && lead < 0xf8) return 3;
  if (lead >= 0xe0 && lead < 0xf0) return 2;
  if (lead >= 0xc2 && lead < 0xe0) return 1;
  return 0;
}

}  // namespace

// Where the last character that is not complete begins (or the end of `text`). Looks at no more
// than the last three bytes.
std::size_t OutputBoundary::cut_in_text(std::string_view text) {
  std::size_t from = text.size();
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xc0) == 0x80) continue;
    const int need = continuation_bytes(byte);
    const int have = static_cast<int>(back) - 1;
    if (need > have) {
      from = text.size() - back;
      utf8_left_ = need - have;
    }
    break;
  }
  return from;
}

std::size_t OutputBoundary::advance(std::string_view bytes) {
  std::size_t safe_at = 0;
  std::size_t at = 0;
  while (at < bytes.size() && utf8_left_ > 0) {
    if ((static_cast<unsigned char>(bytes[at]) & 0xc0) != 0x80) {
      utf8_left_ = 0;  // broken; whatever follows stands for itself
      break;
    }
    ++at;
    if (--utf8_left_ == 0) safe_at = at;
  }
  while (at < bytes.size()) {
    if (state_ == EscapeState::ground) {
      const std::size_t escape = bytes.find(kEscape, at);
      if (escape == std::string_view::npos) {
        return std::max(safe_at, at + cut_in_text(bytes.substr(at)));
      }
      safe_at = escape;
      state_ = EscapeState::escape;
      at = escape + 1;
    } else {
      state_ = next_state(state_, static_cast<unsigned char>(bytes[at++]));
      if (state_ == EscapeState::ground) safe_at = at;
    }
  }
  return safe_at;
}

void OutputBoundary::reset() {
  state_ = EscapeState::ground;
  utf8_left_ = 0;
}

}  // namespace rap::ssh
