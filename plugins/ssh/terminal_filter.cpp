#include "terminal_filter.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "utf8.hpp"

namespace rap::ssh {
namespace {

// The longest thing that is understood is a title; a title bar shows less than this.
constexpr std::size_t kSequenceMax = 512;
// Room in libvterm.
constexpr std::size_t kParametersMax = 16;
// Beyond any screen (1000), and a sum of two still fits whatever libvterm computes with.
constexpr int kNumberMax = 9999;
constexpr std::uint32_t kReplacement = 0xfffd;

// libvterm restores a cursor without a look at the size of the screen. This reports nothing, but
// the cursor is brought into the screen after every control sequence.
constexpr std::string_view kIntoScreen = "\033[0n";

bool one_of(std::string_view set, char byte) {
  return set.find(byte) != std::string_view::npos;
}

// Those that libvterm acts on: BEL BS HT LF VT FF CR SO SI.
bool is_known_control(unsigned char byte) {
  return byte >= 0x07 && byte <= 0x0f;
}

// ESC and one byte. Left out: single shifts and C1 answers, which nothing uses in UTF-8.
bool is_escape(char byte) {
  return one_of("7=>DEHMno", byte);
}

// ESC ( 0 and the like, of the sets that libvterm has: British, ASCII, line drawing.
bool is_character_set(std::string_view sequence) {
  return sequence.size() == 2 && one_of("()*+", sequence[0]) && one_of("AB0", sequence[1]);
}

// Control sequences that libvterm does rightly for any two numbers.
bool is_plain(char leader, char intermediate, char final) {
  if (leader == '?')
    return intermediate ? intermediate == '$' && final == 'p' : one_of("JKn", final);
  if (leader) return leader == '>' && !intermediate && final == 'c';
  switch (intermediate) {
    case 0:
      return one_of("@ABCDEFGHIJKLMPSTXZ`acdefgjkn", final);
    case ' ':
    case '"':
      return final == 'q';
    case '\'':
      return final == '}' || final == '~';
    default:
      return false;
  }
}

}  // namespace

// CSI, taken apart.
struct TerminalFilter::ControlSequence {
  struct Parameter {
    int number = -1;         // -1: left out
    bool continues = false;  // a colon follows: the next one belongs to it
  };

  char leader = 0;
  char intermediate = 0;
  char final = 0;
  std::array<Parameter, kParametersMax * 4> parameters;
  std::size_t count = 0;
  bool well_formed = false;

  // `text`: everything after "ESC [".
  explicit ControlSequence(std::string_view text) {
    std::size_t at = 0;
    if (at < text.size() && text[at] >= '<' && text[at] <= '?') leader = text[at++];
    Parameter current;
    for (; at < text.size() && text[at] >= '0' && text[at] <= ';'; ++at) {
      if (text[at] <= '9') {
        current.number = std::min(std::max(current.number, 0) * 10 + (text[at] - '0'), kNumberMax);
        continue;
      }
      current.continues = text[at] == ':';
      if (count == parameters.size()) return;
      parameters[count++] = std::exchange(current, {});
    }
    if (count == parameters.size()) return;
    parameters[count++] = current;
    if (at < text.size() && text[at] >= 0x20 && text[at] < 0x30) intermediate = text[at++];
    if (at + 1 != text.size() || text[at] < 0x40) return;
    final = text[at];
    well_formed = true;
  }

  int number(std::size_t index, int otherwise) const {
    return index < count && parameters[index].number >= 0 ? parameters[index].number : otherwise;
  }

  // As text again, of the parameters from `begin` to `end`.
  std::string spelled(std::size_t begin, std::size_t end) const {
    std::string text = "\033[";
    if (leader) text += leader;
    for (std::size_t i = begin; i < end; ++i) {
      if (parameters[i].number >= 0) text += std::to_string(parameters[i].number);
      if (i + 1 < end) text += parameters[i].continues ? ':' : ';';
    }
    if (intermediate) text += intermediate;
    text += final;
    return text;
  }
};

TerminalFilter::TerminalFilter(int cols, int rows, Sink sink)
    : cols_(cols), rows_(rows), sink_(std::move(sink)) {}

void TerminalFilter::resize(int cols, int rows) {
  cols_ = cols;
  rows_ = rows;
  side_margins_ = false;
}

void TerminalFilter::feed(std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    if (state_ == EscapeState::ground) {
      at += text(bytes.substr(at));
    } else {
      collect(static_cast<unsigned char>(bytes[at++]));
    }
  }
  flush();
}

// Up to an ESC, which it takes as well. Returns how many bytes it took.
std::size_t TerminalFilter::text(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    std::size_t end = at;
    while (end < bytes.size() && bytes[end] >= 0x20 && bytes[end] < 0x7f) ++end;
    if (end > at) {
      if (continuation_ > 0) high_byte(' ');
      marks_full_ = false;
      last_ = static_cast<unsigned char>(bytes[end - 1]);
      for (; at < end; at += kPieceMax) emit(bytes.substr(at, std::min(end - at, kPieceMax)));
      at = end;
      continue;
    }
    const auto byte = static_cast<unsigned char>(bytes[at++]);
    if (byte >= 0x80 || continuation_ > 0) high_byte(byte);
    if (byte >= 0x80) continue;
    marks_full_ = false;
    if (byte == 0x1b) {
      state_ = EscapeState::escape;
      begin_sequence();
      return at;
    }
    control(byte);
  }
  return at;
}

// One byte of a character (RFC 3629); any ASCII byte ends one that is not complete.
void TerminalFilter::high_byte(unsigned char byte) {
  if (continuation_ > 0) {
    if ((byte & 0xc0) == 0x80) {
      code_ = code_ << 6 | (byte & 0x3f);
      if (--continuation_ > 0) return;
      const bool valid = code_ >= least_ && code_ <= 0x10ffff && (code_ < 0xd800 || code_ > 0xdfff);
      put(valid ? code_ : kReplacement);
      return;
    }
    continuation_ = 0;
    put(kReplacement);
  }
  if (byte < 0x80) return;
  if (byte >= 0xc2 && byte < 0xe0) {
    continuation_ = 1, code_ = byte & 0x1f, least_ = 0x80;
  } else if (byte >= 0xe0 && byte < 0xf0) {
    continuation_ = 2, code_ = byte & 0x0f, least_ = 0x800;
  } else if (byte >= 0xf0 && byte < 0xf5) {
    continuation_ = 3, code_ = byte & 0x07, least_ = 0x10000;
  } else {
    put(kReplacement);
  }
}

void TerminalFilter::put(std::uint32_t code) {
  if (code >= 0x80 && code < 0xa0) return;  // C1: control characters, of a width of -1 to libvterm
  if (marks_full_) return;
  last_ = code;
  std::string bytes;
  append_utf8(bytes, code);
  emit(bytes);
}

void TerminalFilter::control(unsigned char byte) {
  last_ = 0;
  const char character = static_cast<char>(byte);
  if (is_known_control(byte)) emit({&character, 1});
}

void TerminalFilter::collect(unsigned char byte) {
  if (state_ == EscapeState::string_escape && byte != '\\') {  // it did not end the string
    state_ = EscapeState::escape;
    begin_sequence();
  }
  const bool in_string = state_ == EscapeState::text_string || state_ == EscapeState::string_escape;
  state_ = next_state(state_, byte);
  if (byte == 0x18 || byte == 0x1a) return;  // given up
  if (byte == 0x1b) {
    if (!in_string) begin_sequence();
  } else if (in_string && state_ == EscapeState::ground) {
    text_string();
  } else if (byte < 0x20 || byte == 0x7f) {
    if (!in_string) control(byte);  // takes effect in the middle of a sequence, as on a terminal
  } else {
    if (sequence_.size() < kSequenceMax) {
      sequence_ += static_cast<char>(byte);
    } else {
      too_long_ = true;
    }
    if (state_ == EscapeState::ground && !too_long_) finish();
  }
}

void TerminalFilter::begin_sequence() {
  sequence_.clear();
  too_long_ = false;
}

// ESC and all that `sequence_` holds came, whole.
void TerminalFilter::finish() {
  const std::string_view sequence = sequence_;
  if (sequence.front() == '[') {
    control_sequence(ControlSequence(sequence.substr(1)));
    return;
  }
  last_ = 0;
  if (sequence == "8") {
    restore_cursor();
  } else if (sequence == "c") {
    side_margins_ = false;
    emit("\033c");
  } else if (sequence.size() == 1 ? is_escape(sequence[0])
                                  : sequence == "#8" || is_character_set(sequence)) {
    emit("\033" + sequence_);
  }
}

void TerminalFilter::text_string() {
  last_ = 0;
  const std::string_view sequence = sequence_;
  if (sequence.starts_with("]0;") || sequence.starts_with("]2;")) {
    emit("\033]2;" + sequence_.substr(3) + "\033\\");
  } else if (sequence == "P$qm" || sequence == "P$qr" || sequence == "P$qs" ||
             sequence == "P$q q" || sequence == "P$q\"q") {
    emit("\033" + sequence_ + "\033\\");
  }
}

void TerminalFilter::control_sequence(const ControlSequence& sequence) {
  const std::uint32_t last = std::exchange(last_, 0);
  if (!sequence.well_formed) return;
  if (is_plain(sequence.leader, sequence.intermediate, sequence.final)) {
    emit(sequence.spelled(0, std::min<std::size_t>(sequence.count, 2)));
    return;
  }
  const bool private_mode = sequence.leader == '?';
  if ((sequence.leader && !private_mode) || sequence.intermediate) return;
  if (sequence.final == 'h' || sequence.final == 'l') return modes(sequence);
  if (private_mode) return;
  if (sequence.final == 'm') return attributes(sequence);
  if (sequence.final == 'r' || sequence.final == 's') return margins(sequence);
  if (sequence.final == 'u' && !side_margins_) return restore_cursor();
  if (sequence.final == 'b') {
    last_ = last;
    repeat(std::max(sequence.number(0, 1), 1));
  }
}

// Each attribute on its own. A colour takes the parameters that follow it.
void TerminalFilter::attributes(const ControlSequence& sequence) {
  const auto& parameters = sequence.parameters;
  for (std::size_t begin = 0; begin < sequence.count;) {
    std::size_t end = begin + 1;
    while (end < sequence.count && parameters[end - 1].continues) ++end;
    const int number = parameters[begin].number;
    const bool colour = number == 38 || number == 48 || number == 58;
    if (colour && end == begin + 1) {
      const int kind = sequence.number(begin + 1, 0);
      end = begin + (kind == 5 ? 3 : kind == 2 ? 5 : 2);
      if (end > sequence.count) return;
    }
    // The colour of underlines (58) libvterm would take for other attributes.
    if (number != 58 && end - begin <= kParametersMax) emit(sequence.spelled(begin, end));
    begin = end;
  }
}

void TerminalFilter::modes(const ControlSequence& sequence) {
  const bool set = sequence.final == 'h';
  for (std::size_t i = 0; i < sequence.count; ++i) {
    const int number = sequence.parameters[i].number;
    emit(sequence.spelled(i, i + 1));
    if (sequence.leader == 0) continue;
    if (number == 69) side_margins_ = set;
    if ((number == 1048 || number == 1049) && !set) emit(kIntoScreen);
  }
}

// As in xterm: what is left out or beyond the screen is its edge, and an empty region changes
// nothing.
void TerminalFilter::margins(const ControlSequence& sequence) {
  const bool sides = sequence.final == 's';
  if (sides && !side_margins_) {
    if (sequence.count == 1 && sequence.number(0, -1) < 0) emit("\0337");
    return;
  }
  const int edge = sides ? cols_ : rows_;
  const int begin = std::max(sequence.number(0, 1), 1);
  int end = sequence.number(1, 0);
  if (end == 0 || end > edge) end = edge;
  if (begin >= end) return;
  emit("\033[" + std::to_string(begin) + ";" + std::to_string(end) + sequence.final);
}

void TerminalFilter::repeat(int times) {
  if (last_ == 0) return;
  std::string bytes;
  append_utf8(bytes, last_);
  for (int i = 0; i < std::min(times, cols_); ++i) emit(bytes);
}

void TerminalFilter::restore_cursor() {
  emit("\0338");
  emit(kIntoScreen);
}

void TerminalFilter::emit(std::string_view bytes) {
  if (out_.size() + bytes.size() > kPieceMax) flush();
  out_ += bytes;
}

void TerminalFilter::flush() {
  if (out_.empty()) return;
  sink_(out_);
  out_.clear();
}

}  // namespace rap::ssh
