#include "base/commandline/unknown_words.hpp"

#include <algorithm>

#include <CLI/CLI.hpp>

#include "base/commandline/suggest.hpp"

namespace rap::commandline {
namespace {

std::vector<const CLI::App*> subcommands(const CLI::App& command) {
  // Without those that are hidden, which have no group.
  return command.get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); });
}

// Flags of `command` and those it takes over from the commands around it.
std::vector<const CLI::App*> with_parents(const CLI::App& command) {
  std::vector<const CLI::App*> out;
  for (const CLI::App* at = &command; at != nullptr; at = at->get_parent()) out.push_back(at);
  return out;
}

const CLI::Option* find_flag(const CLI::App& command, const std::string& name) {
  for (const CLI::App* at : with_parents(command)) {
    if (const CLI::Option* option = at->get_option_no_throw(name)) return option;
  }
  return nullptr;
}

std::string path_of(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return (parent == nullptr ? "" : path_of(*parent) + " ") + command.get_name();
}

std::string unknown_flag(const CLI::App& command, const std::string& name) {
  std::vector<std::string> known;
  for (const CLI::App* at : with_parents(command)) {
    for (const CLI::Option* option : at->get_options()) {
      for (const std::string& long_name : option->get_lnames()) known.push_back("--" + long_name);
    }
  }
  const std::string near = name.starts_with("--") ? nearest_word(name, known) : "";
  return "unknown flag '" + name + "' of '" + path_of(command) + "'" +
         (near.empty() ? "" : "; did you mean '" + near + "'?");
}

std::string unknown_command(const CLI::App& command, const std::string& word) {
  std::vector<std::string> known;
  for (const CLI::App* sub : subcommands(command)) known.push_back(sub->get_name());
  const std::string near = nearest_word(word, known);
  return "unknown command '" + path_of(command) + " " + word + "'" +
         (near.empty() ? "" : "; did you mean '" + path_of(command) + " " + near + "'?");
}

std::string missing_command(const CLI::App& command) {
  std::string known;
  for (const CLI::App* sub : subcommands(command)) {
    known += (known.empty() ? "" : ", ") + sub->get_name();
  }
  return "a command is missing after '" + path_of(command) + "': " + known;
}

bool takes_arguments(const CLI::App& command) {
  return std::ranges::any_of(command.get_options(),
                             [](const CLI::Option* option) { return option->get_positional(); });
}

}  // namespace

std::string explain_unknown(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* at = &app;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") return {};
    if (word.size() > 1 && word.front() == '-') {
      // "--name=value", "-ovalue"
      const std::string name =
          word.starts_with("--") ? word.substr(0, word.find('=')) : word.substr(0, 2);
      const CLI::Option* flag = find_flag(*at, name);
      if (flag == nullptr) return unknown_flag(*at, name);
      if (name == word && flag->get_items_expected_max() > 0) ++i;  // its value
      continue;
    }
    const auto known = subcommands(*at);
    if (known.empty()) continue;  // an argument
    const auto next = std::find_if(known.begin(), known.end(),
                                   [&](const CLI::App* sub) { return sub->check_name(word); });
    if (next == known.end() && takes_arguments(*at)) continue;
    if (next == known.end()) return unknown_command(*at, word);
    at = *next;
  }
  return at->get_require_subcommand_min() > 0 ? missing_command(*at) : std::string();
}

}  // namespace rap::commandline
