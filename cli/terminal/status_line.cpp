#include "cli/terminal/status_line.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace rap::cli {

std::string status_line(std::string_view text, TerminalSize size) {
  // In the last column some terminals wrap at once.
  const std::size_t most = size.cols > 1 ? size.cols - 1 : 0;
  // DECSC keeps the cursor, attributes, character sets and origin mode; what it may find of them,
  // ASCII in G0 and no origin mode, is needed to write where and what is meant.
  return fmt::format("\0337\033[?6l\033(B\017\033[{};1H\033[0m\033[2K\033[7m{}\033[0m\0338",
                     size.rows, text.substr(0, std::min(most, text.size())));
}

std::string pause_text(std::chrono::milliseconds pause) {
  const auto ms = std::max<std::chrono::milliseconds::rep>(pause.count(), 0);
  if (ms < 60'000) return fmt::format("{:.1f} s", static_cast<double>(ms) / 1'000);
  return fmt::format("{} min {} s", ms / 60'000, ms / 1'000 % 60);
}

}  // namespace rap::cli
