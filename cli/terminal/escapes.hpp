// What a person types: keys for the remote side, and commands for rapctl behind a ~ at the start of
// a line.
#pragma once

#include <string>
#include <string_view>

namespace rap::cli {

enum class EscapeCommand { none, detach, disconnect, help };

// ~d detach, ~. disconnect, ~? help, ~~ one ~; a ~ before anything else is just a ~.
class Escapes {
 public:
  // Appends to `out` what goes to the remote side, and stops at a command: bytes behind it are kept
  // for the next call, which may have no bytes of its own.
  EscapeCommand feed(std::string_view bytes, std::string& out);

 private:
  enum class State { line_start, tilde, in_line };
  State state_ = State::line_start;
  std::string kept_;
};

extern const char kEscapeHelp[];

}  // namespace rap::cli
