// Asking the person at the terminal, and reading values that must not be arguments.
#pragma once

#include <string>

#include "base/secret.hpp"

namespace rap::cli {

// Somebody can be asked, whatever standard input is.
bool has_terminal();
bool stdin_is_terminal();
bool stdout_is_terminal();

// Asks on /dev/tty without echo. Throws Failure without a terminal.
Secret ask_hidden(const std::string& question);
// Asks on /dev/tty; the line without its end. Throws Failure without a terminal.
std::string ask_line(const std::string& question);

// The content of a file, or of standard input for "-", without one line end at the end. At most 64
// KiB: longer values are no secrets.
Secret read_value(const std::string& path, bool keep_line_end = false);

}  // namespace rap::cli
