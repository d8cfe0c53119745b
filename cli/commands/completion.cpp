// Completion scripts, made from the commands themselves so that they cannot be out of date.
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "cli/cli.hpp"

namespace rap::cli {
namespace {

std::string words_of(const CLI::App& command) {
  std::string out;
  for (const CLI::App* sub : command.get_subcommands([](const CLI::App*) { return true; })) {
    out += sub->get_name() + " ";
  }
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) out += "--" + name + " ";
  }
  return out;
}

void add_cases(const CLI::App& command, const std::string& path, std::string& out) {
  out += "    '" + path + "') words='" + words_of(command) + "' ;;\n";
  for (const CLI::App* sub : command.get_subcommands([](const CLI::App*) { return true; })) {
    add_cases(*sub, path + " " + sub->get_name(), out);
  }
}

std::string script(const CLI::App& app, const std::string& shell) {
  std::string cases;
  add_cases(app, "rapctl", cases);
  const std::string head =
      shell == "zsh" ? "#compdef rapctl\nautoload -U +X bashcompinit && bashcompinit\n" : "";
  return head + R"(_rapctl() {
  local path=rapctl word words=''
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) path="$path $word" ;; esac
  done
  case "$path" in
)" + cases +
         R"(  esac
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _rapctl rapctl
)";
}

}  // namespace

void add_completion_command(CLI::App& app) {
  CLI::App& command = add_command(app, "completion", "Print a completion script for a shell",
                                  "  source <(rapctl completion bash)\n"
                                  "  rapctl completion zsh > ~/.zfunc/_rapctl\n");
  const auto shell = std::make_shared<std::string>();
  command.add_option("shell", *shell, "bash or zsh")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
  command.callback([shell, &app] { std::cout << script(app, *shell); });
}

}  // namespace rap::cli
