// Where in an escape sequence a terminal's output stands (ECMA-48; the states are those of Paul
// Williams' parser for DEC terminals, without their private details).
#pragma once

#include <cstdint>

namespace rap::ssh {

enum class EscapeState : std::uint8_t {
  ground,         // text and control characters
  escape,         // after ESC
  intermediate,   // after ESC and bytes 20 to 2f
  csi,            // after ESC [
  text_string,    // after ESC ] P X ^ _
  string_escape,  // an ESC inside such a string: its end, or something new
};

// The state after `byte`; ground means that a sequence ended with it.
constexpr EscapeState next_state(EscapeState state, unsigned char byte) {
  if (byte == 0x18 || byte == 0x1a) return EscapeState::ground;  // CAN, SUB: end anything
  switch (state) {
    case EscapeState::ground:
      return byte == 0x1b ? EscapeState::escape : EscapeState::ground;
    case EscapeState::escape:
      if (byte == '[') return EscapeState::csi;
      if (byte == ']' || byte == 'P' || byte == 'X' || byte == '^' || byte == '_') {
        return EscapeState::text_string;
      }
      [[fallthrough]];
    case EscapeState::intermediate:
      if (byte == 0x1b) return EscapeState::escape;
      if (byte >= 0x30 && byte != 0x7f) return EscapeState::ground;
      return byte >= 0x20 && byte != 0x7f ? EscapeState::intermediate : state;
    case EscapeState::csi:
      if (byte == 0x1b) return EscapeState::escape;
      return byte >= 0x40 && byte != 0x7f ? EscapeState::ground : EscapeState::csi;
    case EscapeState::text_string:
      if (byte == 0x07) return EscapeState::ground;
      return byte == 0x1b ? EscapeState::string_escape : EscapeState::text_string;
    case EscapeState::string_escape:
      if (byte == '\\') return EscapeState::ground;
      return next_state(EscapeState::escape, byte);
  }
  return EscapeState::ground;
}

}  // namespace rap::ssh
