// The terminal of the person: its size, raw mode, and leaving it as it was found.
#pragma once

#include <cstdint>
#include <string_view>

namespace rap::cli {

struct TerminalSize {
  std::uint32_t cols = 80;
  std::uint32_t rows = 24;
  bool operator==(const TerminalSize&) const = default;
};

// Of standard output or input; 80x24 when neither is a terminal.
TerminalSize terminal_size();

// Raw mode of standard input while it lives, when that is a terminal. Restores it also at exit()
// and when a signal ends the process. One at a time.
class RawMode {
 public:
  RawMode();
  ~RawMode();
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;

  bool active() const { return active_; }

 private:
  bool active_ = false;
};

// Writes everything to standard output, waiting as long as it takes; false when nobody reads it any
// more.
bool write_output(std::string_view bytes);

// False when standard output is a pipe that nobody reads any more.
bool output_is_read();

// Ends what a remote program may have left on: alternate screen, margins, insert mode, mouse,
// bracketed paste, hidden cursor, colours. Nothing when standard output is no terminal.
void reset_terminal();

// For after somebody else's whole screen was painted: takes away what is below the cursor, where
// the prompt will be. Nothing when standard output is no terminal.
void erase_below();

}  // namespace rap::cli
