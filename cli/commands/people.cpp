// People who can log in, and where they are logged in.
#include <memory>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "base/id.hpp"
#include "cli/cli.hpp"
#include "cli/prompt.hpp"

namespace rap::cli {
namespace {

const std::vector<Column> kTokenColumns = {{"ID", "id"},
                                           {"FROM", "address"},
                                           {"SINCE", "created_at"},
                                           {"UNTIL", "expires_at"},
                                           {"THIS ONE", "current"}};

struct Options {
  std::string user, name, login, password_file, old_password_file, reason, token;
};
using Shared = std::shared_ptr<Options>;

Secret password_from(const std::string& file, const std::string& question) {
  return file.empty() ? ask_hidden(question) : read_value(file);
}

// Typed blind, so twice; from a file once.
Secret new_password(const std::string& file, const std::string& whose) {
  if (!file.empty()) return read_value(file);
  Secret first = ask_hidden("New password for " + whose + ": ");
  const Secret again = ask_hidden("Once more: ");
  if (first.text() != again.text()) throw Failure(Exit::usage, "the two are not the same");
  return first;
}

std::string ended(const json::value& answer) {
  const std::string count = text_at(answer, "count");
  return count + (count == "1" ? " login ended" : " logins ended");
}

std::string path_of(Cli& cli, const std::string& user) {
  return "/v1/users/" + cli.user(user);
}

void add_user_create(CLI::App& user, Cli& cli, const Shared& o) {
  CLI::App& create = add_command(user, "create", "Make an account",
                                 "  rapctl user create --login ada --name 'Ada L.'\n");
  create.add_option("--login", o->login, "Login name")->required();
  create.add_option("--name", o->name, "Name for people; the login when missing");
  create.add_option("--password-file", o->password_file,
                    "File with the password, - for standard input; asked for when missing");
  create.callback([&cli, o] {
    const Secret password = password_from(o->password_file, "Password for " + o->login + ": ");
    const json::value made = cli.api().post(
        "/v1/users", json::object{{"login", o->login},
                                  {"display_name", o->name.empty() ? o->login : o->name},
                                  {"password", std::string(password.text())}});
    cli.done("created user " + o->login + " (" + text_at(made, "id") + ")", made);
  });
}

void add_user_standing(CLI::App& user, Cli& cli, const Shared& o) {
  CLI::App& disable =
      add_command(user, "disable",
                  "Let a person in no more: logins, their sessions and their places in "
                  "others' sessions end",
                  "  rapctl user disable ada --reason 'left the company'\n");
  disable.add_option("user", o->user, "Login or id")->required();
  disable.add_option("--reason", o->reason, "For the audit log");
  disable.callback([&cli, o] {
    json::object body;
    if (!o->reason.empty()) body["reason"] = o->reason;
    cli.done(o->user + " is disabled", cli.api().post(path_of(cli, o->user) + "/disable", body));
  });
  CLI::App& enable = add_command(user, "enable", "Let a disabled person log in again",
                                 "  rapctl user enable ada\n");
  enable.add_option("user", o->user, "Login or id")->required();
  enable.callback([&cli, o] {
    cli.done(o->user + " may log in", cli.api().post(path_of(cli, o->user) + "/enable"));
  });
  CLI::App& reset = add_command(user, "reset-password", "Give a person a new password",
                                "  rapctl user reset-password ada\n"
                                "  pwgen 20 1 | rapctl user reset-password ada --password-file -\n"
                                "Every login of theirs ends. Their authenticator stays.\n");
  reset.add_option("user", o->user, "Login or id")->required();
  reset.add_option("--password-file", o->password_file,
                   "File with the password, - for standard input; asked for when missing");
  reset.callback([&cli, o] {
    const std::string path = path_of(cli, o->user) + "/password";
    const Secret password = new_password(o->password_file, o->user);
    const json::value answer =
        cli.api().post(path, json::object{{"password", std::string(password.text())}});
    cli.done(o->user + " has a new password; " + ended(answer), answer);
  });
}

void add_user_tokens(CLI::App& user, Cli& cli, const Shared& o) {
  CLI::App& list = add_command(user, "tokens", "Where a person is logged in",
                               "  rapctl user tokens ada\n"
                               "  rapctl token revoke ust_...    ends one of them\n");
  list.add_option("user", o->user, "Login or id")->required();
  list.callback(
      [&cli, o] { cli.list(cli.api().list(path_of(cli, o->user) + "/tokens"), kTokenColumns); });
  CLI::App& revoke =
      add_command(user, "logout", "Log a person out everywhere", "  rapctl user logout ada\n");
  revoke.add_option("user", o->user, "Login or id")->required();
  revoke.callback([&cli, o] {
    const json::value answer = cli.api().remove(path_of(cli, o->user) + "/tokens");
    cli.done(o->user + ": " + ended(answer), answer);
  });
}

void add_user(CLI::App& app, Cli& cli) {
  CLI::App& user = add_command(app, "user", "People who can log in");
  user.require_subcommand(1);
  const Shared o = std::make_shared<Options>();
  add_user_create(user, cli, o);
  add_user_standing(user, cli, o);
  add_user_tokens(user, cli, o);
  add_list(user, cli, "List people", "/v1/users",
           {{"LOGIN", "login"},
            {"NAME", "display_name"},
            {"STATUS", "status"},
            {"OWNER", "owner"},
            {"ID", "id"}});
}

void add_token(CLI::App& app, Cli& cli) {
  CLI::App& token = add_command(app, "token", "Where you are logged in");
  token.require_subcommand(1);
  const Shared o = std::make_shared<Options>();
  add_list(token, cli, "List your logins", "/v1/auth/tokens", kTokenColumns);
  CLI::App& revoke = add_command(token, "revoke", "End one login; an owner ends anybody's",
                                 "  rapctl token list\n"
                                 "  rapctl token revoke ust_...\n");
  revoke.add_option("token", o->token, "Id of the login")->required();
  revoke.callback([&cli, o] {
    if (!is_id_text(o->token, "ust_")) {
      throw Failure(Exit::usage, "'" + o->token + "' is no login's id", "rapctl token list");
    }
    cli.done("login " + o->token + " ended", cli.api().remove("/v1/tokens/" + o->token));
  });
}

void add_password(CLI::App& app, Cli& cli) {
  CLI::App& password = add_command(app, "password", "Your password");
  password.require_subcommand(1);
  const Shared o = std::make_shared<Options>();
  CLI::App& change =
      add_command(password, "change", "Change it; your other logins end",
                  "  rapctl password change\n"
                  "  rapctl password change --old-password-file old --password-file new\n");
  change.add_option("--old-password-file", o->old_password_file,
                    "File with the old one; asked for when missing");
  change.add_option("--password-file", o->password_file,
                    "File with the new one; asked for when missing");
  change.callback([&cli, o] {
    const Secret old = password_from(o->old_password_file, "Old password: ");
    const Secret fresh = new_password(o->password_file, "yourself");
    const json::value answer = cli.api().post(
        "/v1/auth/password", json::object{{"old_password", std::string(old.text())},
                                          {"new_password", std::string(fresh.text())}});
    cli.done("the password is changed; " + ended(answer), answer);
  });
}

}  // namespace

void add_people_commands(CLI::App& app, Cli& cli) {
  add_user(app, cli);
  add_token(app, cli);
  add_password(app, cli);
}

}  // namespace rap::cli
