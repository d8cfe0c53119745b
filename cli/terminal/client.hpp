// A person at a session: frames of docs/contracts/frames.md on one side, the terminal on the other.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/net/byte_stream.hpp"
#include "cli/terminal/tty.hpp"

namespace rap::cli {

enum class View { no, yes };
// `whole`: the session is there already, and its screen is painted over ours.
enum class FirstScreen { empty, whole };

struct SessionEnd {
  enum class How {
    detached,      // by the person
    closed,        // the session is over; see reason
    taken_over,    // somebody else controls now; see who
    refused,       // the hub said why in detail
    lost,          // the stream broke; the session may well be there
    output_closed  // nobody reads our output any more
  };
  How how = How::lost;
  std::string reason;  // of closed: exit, terminated, remote_lost, failed
  std::optional<int> exit_status;
  std::string who;
  std::string detail;
  std::string from = {};  // of taken_over: an address, when known
};

// What happens to the way of a stream that outlives it; told, on the stream's executor, by whoever
// opened it.
enum class Pause { begun, over };
struct PauseFeed {
  std::function<void(Pause, net::milliseconds so_far)> tell;  // set while a terminal listens
};

// The end of input that is no terminal types Ctrl-D into a session that we opened, and leaves one
// that was there already (`whole`).
//
// Talks until one of the ends above. `stream` is open; standard input and output are the person's.
// The terminal is in raw mode while this runs and is as before when it returns or throws.
// Pauses are shown on the last row; when they are over the hub is asked to paint what stood there.
// Where output is no terminal, lines on standard error say it. `pauses` may be null; it outlives
// this.
net::Task<SessionEnd> run_terminal(net::ByteStreamPtr stream, View view, FirstScreen first,
                                   PauseFeed* pauses = nullptr);

}  // namespace rap::cli
