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

void OutputBoundary::step(unsigned char byte) {
  if (byte == 0x18 || byte == 0x1a) {  // CAN and SUB end whatever it was
    state_ = State::ground;
    return;
  }
  switch (state_) {
    case State::ground:
      break;
    case State::escape:
      if (byte == '[') {
        state_ = State::csi;
      } else if (byte == ']' || byte == 'P' || byte == 'X' || byte == '^' || byte == '_') {
        state_ = State::text_string;
      } else if (byte >= 0x20 && byte < 0x30) {
        state_ = State::intermediate;
      } else if (byte >= 0x30) {
        state_ = State::ground;
      }
      break;
    case State::intermediate:
      if (byte == 0x1b) {
        state_ = State::escape;
      } else if (byte >= 0x30) {
        state_ = State::ground;
      }
      break;
    case State::csi:
      if (byte == 0x1b) {
        state_ = State::escape;
      } else if (byte >= 0x40) {
        state_ = State::ground;
      }
      break;
    case State::text_string:
      if (byte == 0x07) state_ = State::ground;
      if (byte == 0x1b) state_ = State::string_escape;
      break;
    case State::string_escape:
      // ESC \ ends the string; any other ESC begins something new.
      state_ = State::escape;
      if (byte == '\\') {
        state_ = State::ground;
      } else if (byte != 0x1b) {
        step(byte);
      }
      break;
  }
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
    if (state_ == State::ground) {
      const std::size_t escape = bytes.find(kEscape, at);
      if (escape == std::string_view::npos) {
        return std::max(safe_at, at + cut_in_text(bytes.substr(at)));
      }
      safe_at = escape;
      state_ = State::escape;
      at = escape + 1;
    } else {
      step(static_cast<unsigned char>(bytes[at++]));
      if (state_ == State::ground) safe_at = at;
    }
  }
  return safe_at;
}

void OutputBoundary::reset() {
  state_ = State::ground;
  utf8_left_ = 0;
}

}  // namespace rap::ssh
