// The cells of one screen buffer, as the terminal-state library draws them.
#pragma once

#include <vterm.h>

#include <cstdint>
#include <vector>

namespace rap::ssh {

struct Pen {
  VTermColor foreground{};
  VTermColor background{};
  std::uint8_t underline = 0;  // VTERM_UNDERLINE_*
  bool bold = false;
  bool italic = false;
  bool blink = false;
  bool reverse = false;
  bool strike = false;
};

// Same colours (as the application named them) and attributes.
bool same(const Pen& a, const Pen& b);

struct Cell {
  std::uint32_t chars[VTERM_MAX_CHARS_PER_CELL] = {};  // base and combining marks; [0] == 0: blank
  Pen pen;
  std::uint8_t width = 1;  // 2: wide; 0: the right half of a wide one
  bool guarded = false;    // DECSCA: selective erase leaves it
};

bool same(const Cell& a, const Cell& b);

// Rows are kept through an index, so that scrolling whole lines (the one thing a busy terminal does
// most) moves 4 bytes a line instead of the whole screen.
class Grid {
 public:
  Grid(int rows, int cols, const Pen& blank);

  int rows() const { return rows_; }
  int cols() const { return cols_; }
  Cell& at(int row, int col) { return line(row)[col]; }
  const Cell& at(int row, int col) const { return const_cast<Grid*>(this)->at(row, col); }
  Cell* line(int row) { return &cells_[std::size_t{order_[row]} * cols_]; }

  // Blank cells in the colours of `pen`; `selective` leaves guarded cells.
  void erase(const VTermRect& rect, const Pen& pen, bool selective);
  // Moves whole lines `down` (negative: up) inside [first, end); what appears is blank.
  void scroll(int first, int end, int down, const Pen& pen);
  void move(const VTermRect& to, const VTermRect& from);
  // Keeps the top left part, after dropping `drop_top` lines at the top.
  void resize(int rows, int cols, int drop_top, const Pen& blank);
  // Lines up to the last one that shows something.
  int used_rows() const;

 private:
  int rows_;
  int cols_;
  std::vector<std::uint32_t> order_;
  std::vector<Cell> cells_;
};

}  // namespace rap::ssh
