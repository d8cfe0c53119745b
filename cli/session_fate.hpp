// What became of a session whose stream broke or could not be had: one look at the control plane,
// before anybody is told that it goes on.
#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "cli/api.hpp"

namespace rap::cli {

struct Fate {
  enum class Known { goes_on, ended, failed, nothing };
  Known known = Known::nothing;
  std::string state;               // as the control plane has it
  std::string detail;              // why it ended
  std::optional<int> exit_status;  // of the remote shell
};

// Of a session as the API shows it. Pure.
Fate fate_of(const json::value& session);

// Asks once, after a moment: the node has to tell first. `nothing` when there is no answer.
Fate ask_fate(Api& api, const std::string& session);

// What the person is told of a stream that broke for the reason `broken`, and the exit status.
struct LastWords {
  std::string text;
  int status = 0;
};
LastWords words_about(const std::string& session, const std::string& broken, const Fate& fate);

// What to do when no stream to it could be had, because of `refused`. Empty: it is over, there is
// nothing to do. A session that the node refused to begin is not said to be there.
std::string todo_without_stream(const std::string& session, Errc refused, const Fate& fate);

}  // namespace rap::cli
