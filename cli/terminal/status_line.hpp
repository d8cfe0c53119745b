// One line over the last row of somebody's screen.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "cli/terminal/tty.hpp"

namespace rap::cli {

// The bytes that write `text` (printable ASCII) over the last row, cut to its width, and leave the
// cursor, attributes, character sets and modes as they were. What stood there is gone until the
// screen is painted again.
std::string status_line(std::string_view text, TerminalSize size);

// "2.1 s", "1 min 5 s": of a pause, for people.
std::string pause_text(std::chrono::milliseconds pause);

}  // namespace rap::cli
