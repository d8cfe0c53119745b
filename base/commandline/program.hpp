// What all our programs do alike on their command line.
#pragma once

#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace rap::commandline {

// A subcommand with examples in its help, each a line that begins with two spaces.
CLI::App& add_command(CLI::App& parent, const std::string& name, const std::string& about,
                      const std::string& examples = {});

// The version of the product, the same in all of its programs.
std::string product_version();

// `version`, and `--version` without JSON, prints "<program> <version>"; {"version":..} when
// `output`, read after the words, is "json". `output` outlives `app`.
CLI::App& add_version_command(CLI::App& app, const std::string& output);

// Reads the words. Nothing when the program goes on; otherwise all was said, help on standard
// output or what is wrong on standard error, and this is the exit status: 0, or 2 for wrong usage.
// Callbacks of commands run inside, and what they throw comes through.
std::optional<int> read_words(CLI::App& app, int argc, const char* const* argv);

}  // namespace rap::commandline
