// Finds where terminal output may be cut.
#pragma once

#include <cstddef>
#include <string_view>

#include "escape_state.hpp"

namespace rap::ssh {

// A repaint may only be put between two complete things: not inside an escape sequence and not
// inside a UTF-8 character. This class follows a stream just closely enough to know (it interprets
// nothing; that is libvterm's work).
class OutputBoundary {
 public:
  // Takes the next bytes of the stream. Returns how many of them come before the last safe place
  // to cut; 0 when there is none among them.
  std::size_t advance(std::string_view bytes);

  // Whether the end of what was taken is safe.
  bool safe() const { return state_ == EscapeState::ground && utf8_left_ == 0; }

  // The stream was cut here by force (CAN sent): start afresh.
  void reset();

 private:
  std::size_t cut_in_text(std::string_view text);

  EscapeState state_ = EscapeState::ground;
  int utf8_left_ = 0;  // continuation bytes that must still come
};

}  // namespace rap::ssh
