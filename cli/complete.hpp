// What may stand next on a command line, found in the commands themselves.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace rap::cli {

// Values of an option ("--node") or an argument ("node") of the command at `path` ("role assign").
using ValuesOf =
    std::function<std::vector<std::string>(const std::string& path, const std::string& name)>;

struct Offer {
  std::vector<std::string> words;
  bool files = false;  // what stands next is a file: the shell knows those
};

// `words`: what was typed after the program's name; the last one is begun, and may be empty.
// Returns the words it may become: commands, flags and values; the value of a flag wherever it
// stands.
Offer complete(const CLI::App& app, const std::vector<std::string>& words, const ValuesOf& values);

}  // namespace rap::cli
