#include "cli/complete.hpp"

#include <algorithm>

#include <CLI/CLI.hpp>

namespace rap::cli {
namespace {

bool is_flag(const std::string& word) {
  return word.size() > 1 && word.front() == '-';
}

const CLI::Option* find_flag(const CLI::App& command, const std::string& name) {
  for (const CLI::App* at = &command; at != nullptr; at = at->get_parent()) {
    if (const CLI::Option* option = at->get_option_no_throw(name)) return option;
  }
  return nullptr;
}

std::vector<const CLI::App*> commands_of(const CLI::App& command) {
  return command.get_subcommands(
      [](const CLI::App* sub) { return !sub->get_group().empty(); });  // hidden ones have no group
}

std::string path_of(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  if (parent == nullptr) return "";
  const std::string above = path_of(*parent);
  return (above.empty() ? "" : above + " ") + command.get_name();
}

std::vector<const CLI::Option*> arguments_of(const CLI::App& command) {
  std::vector<const CLI::Option*> out;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) out.push_back(option);
  }
  return out;
}

std::vector<std::string> flags_of(const CLI::App& command) {
  std::vector<std::string> out;
  for (const CLI::App* at = &command; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      for (const std::string& name : option->get_lnames()) out.push_back("--" + name);
    }
  }
  return out;
}

// "--password-file" and "file".
bool is_file(const std::string& name) {
  return name == "file" || name.ends_with("-file") || name == "--file";
}

// Where the words before the last one lead.
struct Place {
  const CLI::App* command;
  std::size_t arguments = 0;          // of the command, typed already
  const CLI::Option* flag = nullptr;  // waits for its value
};

Place walk(const CLI::App& app, const std::vector<std::string>& words) {
  Place at{&app};
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "=") continue;  // bash cuts "--output=json" into three
    if (at.flag != nullptr) {
      at.flag = nullptr;
      continue;
    }
    if (is_flag(word)) {
      const CLI::Option* flag = find_flag(*at.command, word);
      if (flag != nullptr && flag->get_items_expected_max() > 0) at.flag = flag;
      continue;
    }
    const auto known = commands_of(*at.command);
    const auto next =
        std::ranges::find_if(known, [&](const CLI::App* sub) { return sub->check_name(word); });
    if (next != known.end()) {
      at.command = *next;
    } else {
      ++at.arguments;
    }
  }
  return at;
}

}  // namespace

Offer complete(const CLI::App& app, const std::vector<std::string>& words, const ValuesOf& values) {
  if (words.empty()) return {};
  const Place at = walk(app, words);
  std::string begun = words.back() == "=" ? "" : words.back();
  std::string kept;  // what a shell that does not cut at "=" wants back in front of the value
  const CLI::Option* flag = at.flag;
  if (const auto cut = begun.find('='); flag == nullptr && is_flag(begun) && cut != begun.npos) {
    flag = find_flag(*at.command, begun.substr(0, cut));
    if (flag == nullptr) return {};
    kept = begun.substr(0, cut + 1);
    begun.erase(0, cut + 1);
  }
  Offer offer;
  std::vector<std::string>& found = offer.words;
  if (flag != nullptr) {
    const auto& names = flag->get_lnames();
    if (!names.empty()) {
      offer.files = is_file(names.front());
      found = values(path_of(*at.command), "--" + names.front());
    }
  } else if (begun.starts_with('-')) {
    found = flags_of(*at.command);
  } else {
    for (const CLI::App* sub : commands_of(*at.command)) found.push_back(sub->get_name());
    const auto arguments = arguments_of(*at.command);
    if (at.arguments < arguments.size()) {
      const std::string name = arguments[at.arguments]->get_single_name();
      offer.files = is_file(name);
      found = values(path_of(*at.command), name);
    }
  }
  std::erase_if(found, [&](const std::string& word) { return !word.starts_with(begun); });
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  for (std::string& word : found) word.insert(0, kept);
  return offer;
}

}  // namespace rap::cli
