// What libvterm may see of a terminal's output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "escape_state.hpp"

namespace rap::ssh {

// libvterm 0.1.4 trusts its input: more than 16 parameters, a character set switched in the middle
// of a character, a cursor restored on a screen that has become smaller and others end in its
// memory being overwritten. The target is not trusted. So everything is brought into one canonical
// form first: whole characters, whole sequences, only kinds that a terminal needs, parameters in
// range. Nothing else is passed on. What a real terminal shows does not change by it.
//
// Sequences that libvterm reads otherwise than xterm does are put into its words: several modes or
// attributes at once become one sequence each, CSI s and CSI u without margins save and restore the
// cursor, CSI b repeats by typing.
class TerminalFilter {
 public:
  // Takes pieces of the result, each of whole characters and sequences and at most kPieceMax bytes:
  // libvterm puts four bytes on the stack for every one of text.
  using Sink = std::function<void(std::string_view)>;
  static constexpr std::size_t kPieceMax = 4096;

  TerminalFilter(int cols, int rows, Sink sink);

  // The next bytes of output. An unfinished character or sequence waits for its rest.
  void feed(std::string_view bytes);

  // The screen has another size and no margins.
  void resize(int cols, int rows);

  // The character last put carries more marks than anyone writes: leaves out non-ASCII characters
  // up to the next other thing, because each further mark costs as much as all before. To be called
  // from within the sink.
  void too_many_marks() { marks_full_ = true; }

 private:
  struct ControlSequence;

  std::size_t text(std::string_view bytes);
  void high_byte(unsigned char byte);
  void control(unsigned char byte);
  void put(std::uint32_t code);
  void collect(unsigned char byte);
  void begin_sequence();
  void finish();
  void text_string();
  void control_sequence(const ControlSequence& sequence);
  void attributes(const ControlSequence& sequence);
  void modes(const ControlSequence& sequence);
  void margins(const ControlSequence& sequence);
  void repeat(int times);
  void restore_cursor();
  void emit(std::string_view bytes);
  void flush();

  int cols_;
  int rows_;
  Sink sink_;
  std::string out_;
  EscapeState state_ = EscapeState::ground;
  std::string sequence_;  // the bytes after ESC, as far as they came
  bool too_long_ = false;
  std::uint32_t code_ = 0;  // the character whose bytes are coming
  std::uint32_t least_ = 0;
  int continuation_ = 0;    // how many of them are missing
  std::uint32_t last_ = 0;  // the character put last; 0: none
  bool side_margins_ = false;
  bool marks_full_ = false;
};

}  // namespace rap::ssh
