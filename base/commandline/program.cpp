#include "base/commandline/program.hpp"

#include <algorithm>
#include <iostream>

#include <CLI/CLI.hpp>

#include "base/commandline/unknown_words.hpp"

namespace rap::commandline {
namespace {

constexpr std::string_view kExamples = "Examples:\n";

std::string path_of(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return (parent == nullptr ? "" : path_of(*parent) + " ") + command.get_name();
}

bool needs_words(const CLI::App& command) {
  return std::ranges::any_of(command.get_options(),
                             [](const CLI::Option* option) { return option->get_required(); });
}

// The first example of a help text, which may go over several lines.
std::string first_example(const std::string& footer) {
  const std::size_t at = footer.find(kExamples);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + kExamples.size();
  std::size_t end = footer.find('\n', begin);
  while (end != std::string::npos && end > begin && footer[end - 1] == '\\') {
    end = footer.find('\n', end + 1);
  }
  return footer.substr(begin, end == std::string::npos ? end : end + 1 - begin);
}

// A command that needs no words is its own example; a group shows one of each of its commands.
void complete_examples(CLI::App& command) {
  std::string gathered;
  for (CLI::App* sub : command.get_subcommands([](CLI::App*) { return true; })) {
    complete_examples(*sub);
    gathered += first_example(sub->get_footer());
  }
  const CLI::App* parent = command.get_parent();
  if (parent == nullptr) return;
  // The library gives a new command the footer of its parent.
  const bool inherited = command.get_footer() == parent->get_footer();
  if (!inherited && command.get_footer().find(kExamples) != std::string::npos) return;
  if (gathered.empty() && !needs_words(command)) gathered = "  " + path_of(command) + "\n";
  command.footer(gathered.empty() ? "" : "\n" + std::string(kExamples) + gathered);
}

}  // namespace

CLI::App& add_command(CLI::App& parent, const std::string& name, const std::string& about,
                      const std::string& examples) {
  CLI::App* command = parent.add_subcommand(name, about);
  if (!examples.empty()) command->footer("\n" + std::string(kExamples) + examples);
  return *command;
}

std::string product_version() {
  return RAP_VERSION;
}

CLI::App& add_version_command(CLI::App& app, const std::string& output) {
  app.set_version_flag("--version", app.get_name() + " " + product_version(), "Print the version");
  CLI::App& command = add_command(app, "version", "Print the version");
  command.callback([&app, &output] {
    if (output == "json") {
      std::cout << "{\"version\":\"" << product_version() << "\"}\n";
    } else {
      std::cout << app.get_name() << " " << product_version() << "\n";
    }
  });
  return command;
}

std::optional<int> read_words(CLI::App& app, int argc, const char* const* argv) {
  complete_examples(app);
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    // The library's own words for a mistyped command are "A subcommand is required".
    const std::string unknown = explain_unknown(app, {argv + std::min(argc, 1), argv + argc});
    std::cerr << app.get_name() << ": " << (unknown.empty() ? error.what() : unknown)
              << "\n  run with --help\n";
    return 2;
  }
}

}  // namespace rap::commandline
