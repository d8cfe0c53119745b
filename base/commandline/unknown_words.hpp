// What of a refused command line is no command or flag of ours.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace rap::commandline {

// "unknown command 'rapctl clustr'; did you mean 'rapctl cluster'?", "unexpected argument 'acme' of
// 'rapctl organization create'" about the first such word of
// `words` (without the program's name), or "a command is missing after 'rapctl session': open, .."
// when they stop too early; empty when all are known and something else is wrong.
std::string explain_unknown(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace rap::commandline
