#include "cli/terminal/escapes.hpp"

namespace rap::cli {

const char kEscapeHelp[] =
    "\r\nAt the start of a line:\r\n"
    "  ~d   leave; the session goes on (rapctl session attach brings it back)\r\n"
    "  ~.   cut the connection at once; the session goes on\r\n"
    "  ~~   type a ~\r\n"
    "  ~?   this list\r\n";

EscapeCommand Escapes::feed(std::string_view bytes, std::string& out) {
  std::string input = std::move(kept_);
  kept_.clear();
  input += bytes;
  for (std::size_t at = 0; at < input.size(); ++at) {
    const char c = input[at];
    if (state_ == State::line_start && c == '~') {
      state_ = State::tilde;
      continue;
    }
    if (state_ == State::tilde) {
      const EscapeCommand command = c == 'd'   ? EscapeCommand::detach
                                    : c == '.' ? EscapeCommand::disconnect
                                    : c == '?' ? EscapeCommand::help
                                               : EscapeCommand::none;
      if (command != EscapeCommand::none) {
        state_ = State::line_start;
        kept_ = input.substr(at + 1);
        return command;
      }
      out += '~';
      if (c == '~') {  // "~~" is one
        state_ = State::in_line;
        continue;
      }
    }
    out += c;
    state_ = c == '\r' || c == '\n' ? State::line_start : State::in_line;
  }
  return EscapeCommand::none;
}

}  // namespace rap::cli
