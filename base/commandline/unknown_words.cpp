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

std::size_t arguments_max(const CLI::App& command) {
  std::size_t out = 0;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) out += static_cast<std::size_t>(option->get_items_expected_max());
  }
  return out;
}

std::string unexpected_argument(const CLI::App& command, const std::string& word) {
  return "unexpected argument '" + word + "' of '" + path_of(command) + "'";
}

}  // namespace

std::string explain_unknown(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* at = &app;
  std::size_t arguments = 0;  // of the command, so far
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") return {};
    if (word.size() > 1 && word.front() == '-') {
      // "--name=value", "-ovalue"
      const std::string name =
          word.starts_with("--") ? word.substr(0, word.find('=')) : word.substr(0, 2);
      const CLI::Option* flag = find_flag(*at, name);
      if (flag == nullptr) return unknown_flag(*at, name);
      // Of more than one nobody knows where they end.
      if (flag->get_items_expected_max() > 1) return {};
      if (name == word && flag->get_items_expected_max() > 0) ++i;  // its value
      continue;
    }
    const auto known = subcommands(*at);
    const auto next = std::find_if(known.begin(), known.end(),
                                   [&](const CLI::App* sub) { return sub->check_name(word); });
    if (next != known.end()) {
      at = *next;
      arguments = 0;
    } else if (++arguments > arguments_max(*at)) {
      return known.empty() ? unexpected_argument(*at, word) : unknown_command(*at, word);
    }
  }
  return at->get_require_subcommand_min() > 0 ? missing_command(*at) : std::string();
}

}  // namespace rap::commandline
