// What of a process a plugin must leave alone (P3), as one comparable picture.
#pragma once

#include <string>
#include <vector>

namespace rap::check {

struct ProcessState {
  // Text for each thing: "umask" -> "022".
  std::vector<std::pair<std::string, std::string>> things;

  static ProcessState now();
  // "umask: 022, then 000"; empty when nothing changed.
  static std::string difference(const ProcessState& before, const ProcessState& after);

  // Threads of this process, or -1 where it cannot be told. The list must be opened while files
  // still can be; a second call does nothing.
  static void open_task_list();
  static int threads();
};

}  // namespace rap::check
