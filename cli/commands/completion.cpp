// Completion: scripts that ask `rapctl complete`, which knows the commands and asks the control
// plane for names.
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "cli/cli.hpp"
#include "cli/complete.hpp"

namespace rap::cli {
namespace {

// Longer nobody waits at the Tab key; the shell then completes nothing.
constexpr unsigned kSecondsMax = 2;
// One page of the API; who has more types a letter first.
constexpr std::size_t kNamesMax = 200;

const char kBash[] = R"(_rapctl() {
  local IFS=$'\n'
  COMPREPLY=($(rapctl complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  if [ $? -eq 10 ]; then compopt -o default 2>/dev/null; fi
}
complete -F _rapctl rapctl
)";
const char kZsh[] = R"(#compdef rapctl
_rapctl() {
  local -a found
  found=("${(@f)$(rapctl complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if (( $? == 10 )); then _files; elif [[ -n "${found[1]}" ]]; then compadd -a found; fi
}
if [[ "${funcstack[1]}" == _rapctl ]]; then _rapctl "$@"; else compdef _rapctl rapctl; fi
)";

// Tells the scripts that the shell shall offer its files; nothing else of ours ends so.
constexpr int kFilesWanted = 10;

using Words = std::vector<std::string>;

// Those that are the same everywhere.
const std::map<std::string, Words, std::less<>> kFixed = {
    {"--output", {"table", "json"}},
    {"--state", {"opening", "active", "detached", "closing", "closed", "failed"}},
    {"--status", {"pending", "approved", "rejected"}},
    {"--channel", {"current", "stable", "candidate"}},
    {"--protocol", {"ssh"}},
    {"shell", {"bash", "zsh"}},
    // controlplane/roles/rules.cpp
    {"role",
     {"entry-node", "relay-node", "rdp-worker", "vnc-worker", "ssh-worker", "vpn-exit",
      "vpn-connector", "file-storage-cache", "update-cache", "video-relay"}},
};

Words member_of(const json::array& items, const char* member) {
  Words out;
  for (const json::value& item : items) {
    const std::string word = printable(text_at(item, member));
    // A name with blanks would need quoting in three shells; its id can be typed.
    if (!word.empty() && word.find_first_of(" \t\"'\\$`") == word.npos) out.push_back(word);
  }
  return out;
}

Words live_sessions(Cli& cli) {
  json::array live;
  for (json::value& session : cli.api().list("/v1/sessions", kNamesMax)) {
    const std::string state = text_at(session, "state");
    if (state != "closed" && state != "failed") live.push_back(std::move(session));
  }
  return member_of(live, "id");
}

Words of_clusters(Cli& cli, const std::string& what, const char* member) {
  Words out;
  for (const json::value& one : cli.api().list("/v1/clusters", kNamesMax)) {
    const std::string path = "/v1/clusters/" + text_at(one, "id") + "/" + what;
    for (std::string& word : member_of(cli.api().list(path, kNamesMax), member)) {
      out.push_back(std::move(word));
    }
  }
  return out;
}

Words values_of(Cli& cli, const std::string& path, const std::string& name) {
  const auto named = [&](const char* list, const char* member) {
    return member_of(cli.api().list(list, kNamesMax), member);
  };
  if (name == "--role" && path.starts_with("membership")) return {"admin", "member"};
  if (const auto fixed = kFixed.find(name.starts_with("--role") ? "role" : name);
      fixed != kFixed.end()) {
    return fixed->second;
  }
  if (name == "--cluster" || name == "cluster") return named("/v1/clusters", "slug");
  if (name == "--organization" || name == "organization") {
    return named("/v1/organizations", "slug");
  }
  if (name == "--node" || name == "node") return named("/v1/nodes", "name");
  if (name == "user" || name == "--user") return named("/v1/users", "login");
  if (name == "--to" || name == "--from") {
    Words out = named("/v1/nodes", "name");
    if (path != "mesh trace") return out;
    for (std::string& session : live_sessions(cli)) out.push_back(std::move(session));
    return out;
  }
  if (name == "--class") return {"interactive", "bulk"};
  if (name == "token") return named("/v1/auth/tokens", "id");
  if (name == "session") return live_sessions(cli);
  if (name == "--resource" || name == "resource") {
    return member_of(cli.of_organizations("", "resources"), "name");
  }
  if (name == "--secret" || path == "secret delete") {
    return member_of(cli.of_organizations("", "secrets"), "name");
  }
  if (name == "group" || name == "--parent") return of_clusters(cli, "node-groups", "name");
  if (name != "id") return {};
  if (path.starts_with("join-request")) {
    return of_clusters(cli, "join-requests?status=pending", "id");
  }
  if (path.starts_with("join-token")) return of_clusters(cli, "join-tokens", "id");
  if (path.starts_with("role")) return of_clusters(cli, "role-assignments", "id");
  return {};
}

}  // namespace

void add_completion_command(CLI::App& app, Cli& cli) {
  CLI::App& command = add_command(app, "completion", "Print a completion script for a shell",
                                  "  source <(rapctl completion bash)\n"
                                  "  rapctl completion zsh > ~/.zfunc/_rapctl\n");
  const auto shell = std::make_shared<std::string>();
  command.add_option("shell", *shell, "bash or zsh")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
  command.callback([shell] { std::cout << (*shell == "zsh" ? kZsh : kBash); });

  CLI::App& ask = add_command(app, "complete", "What may stand next; for the scripts");
  ask.group("");  // not for people
  const auto words = std::make_shared<Words>();
  ask.add_option("words", *words, "After --: the words so far, the last one begun");
  ask.callback([words, &app, &cli] {
    ::alarm(kSecondsMax);
    const auto values = [&cli](const std::string& path, const std::string& name) {
      try {
        return values_of(cli, path, name);
      } catch (const std::exception&) {
        return Words();  // nobody is logged in, or the server is away: nothing to offer
      }
    };
    const Offer offer = complete(app, *words, values);
    for (const std::string& word : offer.words) std::cout << word << "\n";
    if (offer.files) cli.status = kFilesWanted;
  });
}

}  // namespace rap::cli
