// Screen::repaint(): the bytes that make another terminal look and behave like this one.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "screen.hpp"
#include "utf8.hpp"

namespace rap::ssh {
namespace {

void append_color(std::string& out, const VTermColor& color, bool background) {
  const int base = background ? 40 : 30;
  if (VTERM_COLOR_IS_DEFAULT_FG(&color) || VTERM_COLOR_IS_DEFAULT_BG(&color)) return;
  if (VTERM_COLOR_IS_INDEXED(&color)) {
    const int index = color.indexed.idx;
    if (index < 8) {
      out += ';' + std::to_string(base + index);
    } else if (index < 16) {
      out += ';' + std::to_string(base + 60 + index - 8);
    } else {
      out += ';' + std::to_string(base + 8) + ";5;" + std::to_string(index);
    }
    return;
  }
  out += ';' + std::to_string(base + 8) + ";2;" + std::to_string(color.rgb.red) + ';' +
         std::to_string(color.rgb.green) + ';' + std::to_string(color.rgb.blue);
}

void append_pen(std::string& out, const Pen& pen) {
  out += "\033[0";
  if (pen.bold) out += ";1";
  if (pen.italic) out += ";3";
  if (pen.underline == VTERM_UNDERLINE_SINGLE) out += ";4";
  if (pen.underline == VTERM_UNDERLINE_DOUBLE) out += ";21";
  if (pen.underline == VTERM_UNDERLINE_CURLY) out += ";4:3";
  if (pen.blink) out += ";5";
  if (pen.reverse) out += ";7";
  if (pen.strike) out += ";9";
  append_color(out, pen.foreground, false);
  append_color(out, pen.background, true);
  out += 'm';
}

void append_move(std::string& out, int row, int col) {
  out += "\033[" + std::to_string(row + 1) + ';' + std::to_string(col + 1) + 'H';
}

bool is_untouched(const Cell& cell) {
  return cell.chars[0] == 0 && !cell.pen.reverse && VTERM_COLOR_IS_DEFAULT_BG(&cell.pen.background);
}

class Painter {
 public:
  explicit Painter(std::string& out) : out_(out) {}

  void paint(const Grid& grid) {
    for (int row = 0; row < grid.rows(); ++row) paint_row(grid, row);
  }

  void use(const Pen& pen) {
    if (known_ && same(pen, pen_)) return;
    append_pen(out_, pen);
    pen_ = pen;
    known_ = true;
  }

 private:
  void paint_row(const Grid& grid, int row) {
    int end = grid.cols();
    while (end > 0 && is_untouched(grid.at(row, end - 1))) --end;
    int at = -1;  // where the cursor of the other terminal is in this row
    for (int col = 0; col < end; ++col) {
      const Cell& cell = grid.at(row, col);
      const bool covered = cell.width == 0 && col > 0 && grid.at(row, col - 1).width == 2;
      if (is_untouched(cell) || covered) continue;
      if (at != col) append_move(out_, row, col);
      use(cell.pen);
      if (cell.chars[0] == 0) out_ += ' ';
      for (const std::uint32_t code : cell.chars) {
        if (code == 0) break;
        append_utf8(out_, code);
      }
      at = col + std::max<int>(1, cell.width);
    }
  }

  std::string& out_;
  Pen pen_;
  bool known_ = false;
};

void append_mode(std::string& out, int mode, bool set) {
  out += "\033[?" + std::to_string(mode) + (set ? 'h' : 'l');
}

// "...r3;20r..." of a DECRQSS answer.
std::pair<int, int> region_of(const std::string& answer, int rows) {
  const std::size_t at = answer.find('r');
  if (at == std::string::npos) return {1, rows};
  char* end = nullptr;
  const long top = std::strtol(answer.c_str() + at + 1, &end, 10);
  if (*end != ';') return {1, rows};
  const long bottom = std::strtol(end + 1, nullptr, 10);
  if (top < 1 || bottom <= top || bottom > rows) return {1, rows};
  return {static_cast<int>(top), static_cast<int>(bottom)};
}

}  // namespace

std::string Screen::repaint() {
  settle();
  std::string out;
  out.reserve(static_cast<std::size_t>(size_.cols) * size_.rows * 2 + 1024);

  // CAN and ST end whatever the other terminal was in the middle of. Then a known state: ASCII in
  // G0, attributes and modes reset (DECSTR), primary screen, no mouse, nothing on it.
  out += "\030\033\\\033(B\017\033[!p\033[?69l\033[?6l\033[4l\033[r\033[?7l";
  for (const int mode : {9, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 2004}) {
    append_mode(out, mode, false);
  }
  out += "\033[?1047l\033[0m\033[H\033[2J";
  if (modes_.alternate_screen) {
    {
      Painter painter(out);
      painter.paint(primary_);
    }
    // Where leaving the alternate screen will put the cursor; libvterm does not tell what it saved,
    // so: the line below the last one, where a program was most likely started.
    append_move(out, std::min(primary_.used_rows(), size_.rows - 1), 0);
    out += "\033[0m\033[?1049h\033[H\033[2J";
  }

  Painter painter(out);
  const Grid& shown = grid();
  for (int row = 0; row < shown.rows(); ++row) {
    const VTermLineInfo* line = vterm_state_get_lineinfo(state_, row);
    if (!line || !line->doublewidth) continue;
    append_move(out, row, 0);
    out += line->doubleheight == 1 ? "\033#3" : line->doubleheight == 2 ? "\033#4" : "\033#6";
  }
  painter.paint(shown);

  append_mode(out, 5, modes_.reverse_video);
  append_mode(out, 1, mode_set(1));
  append_mode(out, 7, mode_set(7));
  append_mode(out, 2004, mode_set(2004));
  append_mode(out, 1004, mode_set(1004));
  for (const int protocol : {1005, 1006, 1015}) {
    if (mode_set(protocol)) append_mode(out, protocol, true);
  }
  if (modes_.mouse == VTERM_PROP_MOUSE_CLICK) append_mode(out, 1000, true);
  if (modes_.mouse == VTERM_PROP_MOUSE_DRAG) append_mode(out, 1002, true);
  if (modes_.mouse == VTERM_PROP_MOUSE_MOVE) append_mode(out, 1003, true);
  // libvterm has no question for the keypad; pressing a key tells.
  std::string kept = std::exchange(replies_, {});
  vterm_keyboard_key(vterm_.get(), static_cast<VTermKey>(VTERM_KEY_KP_0), VTERM_MOD_NONE);
  out += replies_ == "0" ? "\033>" : "\033=";
  replies_ = std::move(kept);

  if (!title_.empty()) out += "\033]2;" + title_ + "\033\\";
  const int shape = 2 * modes_.cursor_shape - (modes_.cursor_blink ? 1 : 0);
  out += "\033[" + std::to_string(shape) + " q";

  const auto [top, bottom] = region_of(ask("\033P$qr\033\\"), size_.rows);
  if (top != 1 || bottom != size_.rows) {
    out += "\033[" + std::to_string(top) + ';' + std::to_string(bottom) + 'r';
  }
  VTermPos pos{};
  vterm_state_get_cursorpos(state_, &pos);
  if (mode_set(6)) {
    append_mode(out, 6, true);
    pos.row = std::max(0, pos.row - (top - 1));
  }
  append_move(out, pos.row, pos.col);
  painter.use(pen_);
  append_mode(out, 25, modes_.cursor_visible);
  return out;
}

}  // namespace rap::ssh
