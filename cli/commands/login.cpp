#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"
#include "cli/cli.hpp"
#include "cli/prompt.hpp"
#include "cli/server_probe.hpp"

namespace rap::cli {
namespace {

struct LoginOptions {
  std::string login;
  std::string password_file;
  std::string totp;
  std::string ca_sha256;
};

// Hex with or without colons, or base64url as in a join token.
std::string pin_text(std::string text) {
  std::string hex;
  for (const char c : text) {
    if (c != ':') hex += c;
  }
  const auto bytes = hex.size() == 64 ? from_hex(hex) : from_base64url(text);
  if (!bytes || bytes->size() != 32) {
    throw Failure(Exit::usage, "--ca-sha256 is not a SHA-256: '" + text + "'",
                  "64 hex digits of the hash of the CA's public key");
  }
  return to_base64url(*bytes);
}

// Decides whom to trust before anything secret is sent.
void settle_trust(Context& context, const LoginOptions& options) {
  if (!options.ca_sha256.empty()) {
    context.ca_pin = pin_text(options.ca_sha256);
    context.ca_pem.clear();
  }
  if (!context.ca_pem.empty() || !context.ca_pin.empty()) return;
  const ServerProbe probe = probe_server(context.server);
  const std::string unknown = context.server + " is not known yet. It presents the authority\n  " +
                              printable(probe.ca_name) +
                              "\n  SHA-256 of its key: " + probe.fingerprint();
  if (!has_terminal()) {
    throw Failure(
        Exit::unauthorized, unknown,
        "there is no terminal to ask on: get the CA's certificate from the owner and give "
        "it as --ca-file FILE,\n  or compare the hash with the owner's and give it as "
        "--ca-sha256 HASH");
  }
  const std::string answer =
      ask_line(unknown + "\nAsk the owner whether that is the platform CA. Trust it? (yes/no) ");
  if (answer != "yes") {
    throw Failure(Exit::unauthorized, "the server was not trusted",
                  "get the CA's certificate from the owner and give it as --ca-file");
  }
  context.ca_pin = to_base64url(probe.ca_spki_sha256);
}

void log_in(Cli& cli, const LoginOptions& options) {
  Context context = cli.context();
  context.token.clear();
  settle_trust(context, options);
  const auto api = connect_api(context);
  const std::string login = options.login.empty() ? ask_line("Login: ") : options.login;
  const Secret password =
      options.password_file.empty() ? ask_hidden("Password: ") : read_value(options.password_file);
  json::object body{{"login", login}, {"password", std::string(password.text())}};
  if (!options.totp.empty()) body["totp"] = options.totp;
  json::value answer;
  try {
    answer = api->post("/v1/auth/login", body);
  } catch (const TotpRequired&) {
    if (!options.totp.empty() || !stdin_is_terminal()) throw;
    body["totp"] = ask_line("Code of the authenticator: ");
    answer = api->post("/v1/auth/login", body);
  }
  if (!answer.is_object()) throw Failure(Exit::error, "the server's answer is not an object");
  const json::object& object = answer.get_object();
  context.token = require(json_string(object, "token"), "login");
  context.login = login;
  context.expires_at = json_string_or_none(object, "expires_at").value_or("");
  require(save_context(cli.dir(), context), "saving the login");
  std::cout << "logged in as " << login << " until " << printable(context.expires_at) << "\n";
}

void log_out(Cli& cli) {
  Context context = cli.context();
  if (!context.token.empty()) connect_api(context)->post("/v1/auth/logout");
  context.token.clear();
  context.expires_at.clear();
  require(save_context(cli.dir(), context), "forgetting the login");
  std::cout << "logged out\n";
}

void enroll_totp(Cli& cli) {
  // Before there is a secret that nobody can confirm.
  if (!has_terminal()) {
    throw Failure(Exit::usage,
                  "an authenticator is added by a person at a terminal, who types the "
                  "first code that it shows");
  }
  const json::value made = cli.api().post("/v1/auth/totp");
  std::cout << "Add this to an authenticator:\n  secret: " << text_at(made, "secret")
            << "\n  address: " << text_at(made, "uri") << "\n";
  const std::string code = ask_line("Code it shows: ");
  cli.api().post("/v1/auth/totp/confirm", json::object{{"code", code}});
  std::cout << "from now on a login needs a code\n";
}

}  // namespace

void add_login_commands(CLI::App& app, Cli& cli) {
  CLI::App& login = add_command(app, "login", "Log in at a control plane",
                                "  rapctl login --server https://rap.example.org:8443\n"
                                "  rapctl login --server https://127.0.0.1:8443 --ca-file ca.pem "
                                "--login owner --password-file -\n");
  const auto options = std::make_shared<LoginOptions>();
  login.add_option("--login", options->login, "Login name; asked for when missing");
  login.add_option("--password-file", options->password_file,
                   "File with the password, - for standard input; asked for when missing");
  login.add_option("--totp", options->totp, "Code of the authenticator");
  login.add_option("--ca-sha256", options->ca_sha256,
                   "SHA-256 of the public key of the CA to trust, instead of --ca-file");
  login.callback([&cli, options] { log_in(cli, *options); });

  add_command(app, "logout", "End the login").callback([&cli] { log_out(cli); });
  add_command(app, "whoami", "Show who is logged in").callback([&cli] {
    cli.show(cli.api().get("/v1/auth/whoami"),
             {{"Login", "login"}, {"Name", "display_name"}, {"Id", "id"}, {"Owner", "owner"}});
  });

  CLI::App& totp = add_command(app, "totp", "Second factor of the login");
  totp.require_subcommand(1);
  add_command(totp, "enroll", "Add an authenticator to this account").callback([&cli] {
    enroll_totp(cli);
  });
}

}  // namespace rap::cli
