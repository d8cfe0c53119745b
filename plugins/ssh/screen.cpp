#include "screen.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

namespace rap::ssh {
namespace {

// Long enough that a busy terminal is interpreted in large pieces, short enough that an attach
// waits a few milliseconds at most for the rest.
constexpr std::size_t kBacklogMax = 128 * 1024;
// A title bar shows less.
constexpr std::size_t kTitleMax = 256;
// Answers nobody fetched; a program that asks this much asks for trouble.
constexpr std::size_t kRepliesMax = 4096;
// Shorter texts are faster to interpret than to look at.
constexpr std::size_t kSkipMin = 8 * 1024;

bool is_plain_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 || byte == '\n' || byte == '\r' || byte == '\t';
}

// Whether one of eight bytes is below 0x20: only there does the subtraction borrow into a high bit
// that was not set before.
bool has_control(std::uint64_t bytes) {
  constexpr std::uint64_t kEach = 0x0101010101010101;
  return ((bytes - 0x20 * kEach) & ~bytes & 0x80 * kEach) != 0;
}

// Only printable bytes, tabs and line ends. Eight at a time: all output of a program that prints
// text comes by here.
bool is_plain(std::string_view bytes) {
  while (bytes.size() >= sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    const std::string_view here = bytes.substr(0, sizeof word);
    if (has_control(word) && !std::all_of(here.begin(), here.end(), is_plain_byte)) return false;
    bytes.remove_prefix(sizeof word);
  }
  return std::all_of(bytes.begin(), bytes.end(), is_plain_byte);
}

}  // namespace

ScreenSize clamp_size(std::uint32_t cols, std::uint32_t rows) {
  constexpr std::uint32_t kCellsMax = 250'000;
  const std::uint32_t c = std::clamp<std::uint32_t>(cols, 1, 1000);
  const std::uint32_t r = std::clamp<std::uint32_t>(rows, 1, 1000);
  return {static_cast<int>(c), static_cast<int>(std::min(r, kCellsMax / c))};
}

// What libvterm calls. `user` is the Screen. An answer of 1 means done.
struct ScreenCallbacks {
  static Screen& self(void* user) { return *static_cast<Screen*>(user); }
  static Grid& grid(Screen& s) { return s.modes_.alternate_screen ? s.alternate_ : s.primary_; }

  static int put_glyph(VTermGlyphInfo* info, VTermPos pos, void* user) {
    Screen& s = self(user);
    Grid& g = grid(s);
    if (pos.row < 0 || pos.row >= g.rows() || pos.col < 0 || pos.col >= g.cols()) return 1;
    Cell* cells = g.line(pos.row);
    Cell& cell = cells[pos.col];
    const int width = std::clamp(info->width, 1, 2);  // 0: a mark without a letter
    int i = 0;
    for (; i < VTERM_MAX_CHARS_PER_CELL && info->chars[i] != 0; ++i) cell.chars[i] = info->chars[i];
    if (i == VTERM_MAX_CHARS_PER_CELL && info->chars[i] != 0) s.filter_.too_many_marks();
    std::fill(cell.chars + i, std::end(cell.chars), 0u);
    cell.pen = s.pen_;
    cell.width = static_cast<std::uint8_t>(width);
    cell.guarded = info->protected_cell;
    for (int right = 1; right < width && pos.col + right < g.cols(); ++right) {
      Cell& covered = cells[pos.col + right];
      covered = cell;
      std::fill(std::begin(covered.chars), std::end(covered.chars), 0u);
      covered.width = 0;
    }
    // The right half of a wide character whose left half is gone is nothing.
    const int next = pos.col + width;
    if (next < g.cols() && cells[next].width == 0) {
      g.erase({pos.row, pos.row + 1, next, next + 1}, cells[next].pen, false);
    }
    return 1;
  }

  static int scroll_rect(VTermRect rect, int downward, int rightward, void* user) {
    Screen& s = self(user);
    Grid& g = grid(s);
    // Anything but whole lines: libvterm takes it apart into move_rect and erase.
    if (rightward != 0 || rect.start_col != 0 || rect.end_col != g.cols()) return 0;
    g.scroll(rect.start_row, rect.end_row, downward, s.pen_);
    return 1;
  }

  static int move_rect(VTermRect to, VTermRect from, void* user) {
    grid(self(user)).move(to, from);
    return 1;
  }

  static int erase(VTermRect rect, int selective, void* user) {
    Screen& s = self(user);
    Grid& g = grid(s);
    rect.end_row = std::min(rect.end_row, g.rows());
    rect.end_col = std::min(rect.end_col, g.cols());
    g.erase(rect, s.pen_, selective != 0);
    return 1;
  }

  static int set_pen(VTermAttr attr, VTermValue* value, void* user) {
    Pen& pen = self(user).pen_;
    switch (attr) {
      case VTERM_ATTR_BOLD:
        pen.bold = value->boolean;
        break;
      case VTERM_ATTR_UNDERLINE:
        pen.underline = static_cast<std::uint8_t>(value->number);
        break;
      case VTERM_ATTR_ITALIC:
        pen.italic = value->boolean;
        break;
      case VTERM_ATTR_BLINK:
        pen.blink = value->boolean;
        break;
      case VTERM_ATTR_REVERSE:
        pen.reverse = value->boolean;
        break;
      case VTERM_ATTR_STRIKE:
        pen.strike = value->boolean;
        break;
      case VTERM_ATTR_FOREGROUND:
        pen.foreground = value->color;
        break;
      case VTERM_ATTR_BACKGROUND:
        pen.background = value->color;
        break;
      default:
        break;  // alternative fonts look alike in a terminal
    }
    return 1;
  }

  static int set_property(VTermProp prop, VTermValue* value, void* user) {
    Screen& s = self(user);
    switch (prop) {
      case VTERM_PROP_CURSORVISIBLE:
        s.modes_.cursor_visible = value->boolean;
        break;
      case VTERM_PROP_CURSORBLINK:
        s.modes_.cursor_blink = value->boolean;
        break;
      case VTERM_PROP_ALTSCREEN:
        s.modes_.alternate_screen = value->boolean;
        break;
      case VTERM_PROP_REVERSE:
        s.modes_.reverse_video = value->boolean;
        break;
      case VTERM_PROP_CURSORSHAPE:
        // 0 comes from restoring what was never saved.
        s.modes_.cursor_shape = std::max(1, value->number);
        break;
      case VTERM_PROP_MOUSE:
        s.modes_.mouse = value->number;
        break;
      case VTERM_PROP_TITLE:
        s.title_.clear();
        for (const char* c = value->string; c && *c && s.title_.size() < kTitleMax; ++c) {
          if (static_cast<unsigned char>(*c) >= 0x20 && *c != 0x7f) s.title_ += *c;
        }
        break;
      default:
        break;
    }
    return 1;
  }

  static int resize(int rows, int cols, VTermPos* delta, void* user) {
    Screen& s = self(user);
    VTermPos cursor{};
    vterm_state_get_cursorpos(s.state_, &cursor);
    Pen blank = s.pen_;
    const auto drop = [&](const Grid& g, int least) {
      return std::max(0, std::max(g.used_rows(), least) - rows);
    };
    const bool alternate = s.modes_.alternate_screen;
    // What was written last stays visible when the screen gets shorter; programs on the alternate
    // screen paint it anew anyway.
    const int dropped = drop(s.primary_, alternate ? 0 : cursor.row + 1);
    s.primary_.resize(rows, cols, dropped, blank);
    s.alternate_.resize(rows, cols, 0, blank);
    // Blank lines below the cursor count as used while they hold colour: never above the first row,
    // which libvterm 0.1.4 does not look after.
    if (!alternate && delta) delta->row -= std::min(dropped, cursor.row);
    return 1;
  }

  static int nothing(VTermPos, VTermPos, int, void*) { return 1; }
  static int init_pen(void*) { return 1; }
  static int bell(void*) { return 1; }
  static int line_info(int, const VTermLineInfo*, const VTermLineInfo*, void*) { return 1; }

  static void reply(const char* bytes, std::size_t count, void* user) {
    std::string& replies = self(user).replies_;
    if (replies.size() + count <= kRepliesMax) replies.append(bytes, count);
  }

  static constexpr VTermStateCallbacks kTable{
      .putglyph = put_glyph,
      .movecursor = nothing,
      .scrollrect = scroll_rect,
      .moverect = move_rect,
      .erase = erase,
      .initpen = init_pen,
      .setpenattr = set_pen,
      .settermprop = set_property,
      .bell = bell,
      .resize = resize,
      .setlineinfo = line_info,
  };
};

namespace {

Pen default_pen() {
  Pen pen;
  pen.foreground.type = VTERM_COLOR_DEFAULT_FG;
  pen.background.type = VTERM_COLOR_DEFAULT_BG;
  return pen;
}

}  // namespace

Screen::Screen(ScreenSize size)
    : size_(
          clamp_size(static_cast<std::uint32_t>(size.cols), static_cast<std::uint32_t>(size.rows))),
      vterm_(vterm_new(size_.rows, size_.cols), vterm_free),
      pen_(default_pen()),
      primary_(size_.rows, size_.cols, pen_),
      alternate_(size_.rows, size_.cols, pen_),
      filter_(size_.cols, size_.rows, [this](std::string_view bytes) {
        vterm_input_write(vterm_.get(), bytes.data(), bytes.size());
      }) {
  if (!vterm_) throw std::bad_alloc();
  vterm_set_utf8(vterm_.get(), 1);
  vterm_output_set_callback(vterm_.get(), ScreenCallbacks::reply, this);
  state_ = vterm_obtain_state(vterm_.get());
  vterm_state_set_callbacks(state_, &ScreenCallbacks::kTable, this);
  vterm_state_reset(state_, 1);
}

Screen::~Screen() = default;

void Screen::write(std::string_view bytes) {
  if (backlog_.size() + bytes.size() > kBacklogMax) settle();
  if (bytes.size() > kBacklogMax) {
    feed(bytes);
  } else {
    backlog_.append(bytes);
  }
}

void Screen::settle() {
  if (backlog_.empty()) return;
  feed(backlog_);
  backlog_.clear();
}

void Screen::feed(std::string_view bytes) {
  if (bytes.size() >= kSkipMin) {
    const std::string_view tail = visible_tail(bytes);
    if (tail.size() < bytes.size()) {
      filter_.feed("\r\n");
      bytes = tail;
    }
  }
  if (plain_since_check_) plain_since_check_ = bytes.find('\033') == std::string_view::npos;
  filter_.feed(bytes);
}

// The part of `bytes` that alone decides what the screen looks like afterwards; often all of it.
// After twice as many line feeds as there are rows, every line that was on a screen that scrolls as
// a whole is gone; so when all before is plain text (nothing that changes attributes, modes or
// regions), interpreting it or not gives the same screen.
std::string_view Screen::visible_tail(std::string_view bytes) {
  std::size_t at = bytes.size();
  for (int lines = 0; lines <= 2 * size_.rows; ++lines) {
    const void* feed = at == 0 ? nullptr : memrchr(bytes.data(), '\n', at);
    if (!feed) return bytes;
    at = static_cast<std::size_t>(static_cast<const char*>(feed) - bytes.data());
  }
  if (at == 0 || bytes[at - 1] != '\r') return bytes;  // the column would not be known
  if (!is_plain(bytes.substr(0, at)) || !scrolls_whole_screen()) return bytes;
  return bytes.substr(at + 1);
}

bool Screen::scrolls_whole_screen() {
  if (!plain_since_check_) {
    const std::string region = ask("\033P$qr\033\\");
    const std::string whole = "r1;" + std::to_string(size_.rows) + "r";
    scrolls_whole_ = region.find(whole) != std::string::npos && !mode_set(69);
    plain_since_check_ = true;
  }
  return scrolls_whole_;
}

std::string Screen::ask(std::string_view question) {
  std::string kept;
  kept.swap(replies_);
  vterm_input_write(vterm_.get(), question.data(), question.size());
  kept.swap(replies_);
  return kept;
}

bool Screen::mode_set(int dec_mode) {
  const std::string mode = std::to_string(dec_mode);
  return ask("\033[?" + mode + "$p").find(";1$y") != std::string::npos;
}

// libvterm 0.1.4 keeps margins that a smaller screen does not have, and moves memory by them. As in
// xterm, a resize takes margins away.
void Screen::reset_margins() {
  const VTermPos at = cursor();
  const std::string text = "\033[r\033[?69h\033[s\033[?69l\033[" + std::to_string(at.row + 1) +
                           ";" + std::to_string(at.col + 1) + "H";
  vterm_input_write(vterm_.get(), text.data(), text.size());
}

void Screen::resize(ScreenSize size) {
  settle();
  const ScreenSize wanted =
      clamp_size(static_cast<std::uint32_t>(size.cols), static_cast<std::uint32_t>(size.rows));
  if (wanted == size_) return;
  reset_margins();
  size_ = wanted;
  plain_since_check_ = false;
  filter_.resize(size_.cols, size_.rows);
  vterm_set_size(vterm_.get(), size_.rows, size_.cols);
}

std::string Screen::take_replies() {
  settle();
  return std::exchange(replies_, {});
}

const Grid& Screen::grid() {
  settle();
  return modes_.alternate_screen ? alternate_ : primary_;
}

VTermPos Screen::cursor() {
  settle();
  VTermPos pos{};
  vterm_state_get_cursorpos(state_, &pos);
  return pos;
}

const TerminalModes& Screen::modes() {
  settle();
  return modes_;
}

const std::string& Screen::title() {
  settle();
  return title_;
}

}  // namespace rap::ssh
