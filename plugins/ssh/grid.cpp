#include "grid.hpp"

#include <algorithm>
#include <numeric>

namespace rap::ssh {
namespace {

Cell blank_cell(const Pen& pen) {
  Cell cell;
  // Erasing paints the background colour and nothing else, as xterm does (bce).
  cell.pen.foreground = pen.foreground;
  cell.pen.background = pen.background;
  return cell;
}

}  // namespace

bool same(const Pen& a, const Pen& b) {
  return vterm_color_is_equal(&a.foreground, &b.foreground) &&
         vterm_color_is_equal(&a.background, &b.background) && a.underline == b.underline &&
         a.bold == b.bold && a.italic == b.italic && a.blink == b.blink && a.reverse == b.reverse &&
         a.strike == b.strike;
}

bool same(const Cell& a, const Cell& b) {
  return a.width == b.width && std::equal(std::begin(a.chars), std::end(a.chars), b.chars) &&
         same(a.pen, b.pen);
}

Grid::Grid(int rows, int cols, const Pen& blank)
    : rows_(rows),
      cols_(cols),
      order_(static_cast<std::size_t>(rows)),
      cells_(static_cast<std::size_t>(rows) * cols, blank_cell(blank)) {
  std::iota(order_.begin(), order_.end(), 0u);
}

void Grid::erase(const VTermRect& rect, const Pen& pen, bool selective) {
  const Cell blank = blank_cell(pen);
  for (int row = rect.start_row; row < rect.end_row; ++row) {
    Cell* cells = line(row);
    for (int col = rect.start_col; col < rect.end_col; ++col) {
      if (!selective || !cells[col].guarded) cells[col] = blank;
    }
  }
}

void Grid::scroll(int first, int end, int down, const Pen& pen) {
  const int count = end - first;
  const int by = std::clamp(down, -count, count);
  const auto begin = order_.begin() + first;
  const VTermRect all{first, end, 0, cols_};
  VTermRect fresh = all;
  if (by < 0) {
    std::rotate(begin, begin + (count + by) % count, begin + count);
    fresh.end_row = first - by;
  } else {
    std::rotate(begin, begin + by % count, begin + count);
    fresh.start_row = end - by;
  }
  erase(fresh, pen, false);
}

void Grid::move(const VTermRect& to, const VTermRect& from) {
  const int rows = from.end_row - from.start_row;
  const int cols = from.end_col - from.start_col;
  for (int i = 0; i < rows; ++i) {
    const int step = to.start_row <= from.start_row ? i : rows - 1 - i;
    Cell* source = line(from.start_row + step) + from.start_col;
    Cell* target = line(to.start_row + step) + to.start_col;
    if (target <= source) {
      std::copy(source, source + cols, target);
    } else {
      std::copy_backward(source, source + cols, target + cols);
    }
  }
}

void Grid::resize(int rows, int cols, int drop_top, const Pen& blank) {
  Grid next(rows, cols, blank);
  const int kept_rows = std::min(rows, rows_ - drop_top);
  const int kept_cols = std::min(cols, cols_);
  for (int row = 0; row < kept_rows; ++row) {
    std::copy_n(line(row + drop_top), kept_cols, next.line(row));
    Cell& last = next.at(row, kept_cols - 1);
    if (last.width == 2) last = blank_cell(last.pen);  // its right half was cut off
  }
  *this = std::move(next);
}

int Grid::used_rows() const {
  for (int row = rows_; row > 0; --row) {
    for (int col = 0; col < cols_; ++col) {
      if (at(row - 1, col).chars[0] != 0) return row;
    }
  }
  return 0;
}

}  // namespace rap::ssh
