// The terminal as it stands: what an attach shows at once.
#pragma once

#include <vterm.h>

#include <memory>
#include <string>
#include <string_view>

#include "grid.hpp"
#include "terminal_filter.hpp"

namespace rap::ssh {

struct ScreenSize {
  int cols = 80;
  int rows = 24;
  bool operator==(const ScreenSize&) const = default;
};

// Largest screen: 1000 columns or rows (what the frame protocol allows), and 250,000 cells, which
// is 2.5 times a 4K display in the smallest readable font and keeps both buffers under 24 MB. Other
// sizes are brought into this range.
ScreenSize clamp_size(std::uint32_t cols, std::uint32_t rows);

struct TerminalModes {
  bool cursor_visible = true;
  bool cursor_blink = true;
  bool alternate_screen = false;
  bool reverse_video = false;
  int cursor_shape = VTERM_PROP_CURSORSHAPE_BLOCK;
  int mouse = VTERM_PROP_MOUSE_NONE;
};

// Parsing and state are libvterm's; the cells are ours (grid.hpp), because libvterm's own screen
// layer moves the whole screen for every scrolled line and hides the buffer behind the alternate
// one.
class Screen {
 public:
  explicit Screen(ScreenSize size);
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  // Output of the remote terminal, in order, ending outside escape sequences and characters
  // (output_boundary.hpp). It is kept and interpreted later, at most kBacklogMax bytes of it.
  void write(std::string_view bytes);
  // Interprets what is kept. Every function below does that first.
  void settle();

  void resize(ScreenSize size);
  ScreenSize size() const { return size_; }

  // Bytes that clear a terminal of this size, paint everything and leave it in the same state:
  // both buffers, cursor, attributes, scroll region, modes, title.
  std::string repaint();

  // What the terminal answered to questions of the remote side since the last call (device
  // attributes, cursor position...). For a terminal that nobody looks at.
  std::string take_replies();

  // For tests.
  const Grid& grid();
  VTermPos cursor();
  const TerminalModes& modes();
  const std::string& title();

 private:
  friend struct ScreenCallbacks;

  // The answer of the terminal to `question`; leaves replies_ alone.
  std::string ask(std::string_view question);
  bool mode_set(int dec_mode);
  void feed(std::string_view bytes);
  void reset_margins();
  bool scrolls_whole_screen();
  std::string_view visible_tail(std::string_view bytes);

  ScreenSize size_;
  std::unique_ptr<VTerm, void (*)(VTerm*)> vterm_;
  VTermState* state_ = nullptr;
  Pen pen_;
  Grid primary_;
  Grid alternate_;
  TerminalFilter filter_;
  TerminalModes modes_;
  std::string title_;
  std::string backlog_;
  std::string replies_;
  bool plain_since_check_ = false;  // no escape sequence since scrolls_whole_screen() looked
  bool scrolls_whole_ = false;
};

}  // namespace rap::ssh
