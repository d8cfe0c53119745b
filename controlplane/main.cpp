// rap-control-plane: command line only; app/ does the work.
#include <fmt/format.h>

#include <iostream>

#include <CLI/CLI.hpp>

#include "base/commandline/program.hpp"
#include "base/log.hpp"
#include "controlplane/app/init.hpp"
#include "controlplane/app/server.hpp"
#include "controlplane/http/api.hpp"
#include "controlplane/http/operations.hpp"

namespace {

int report(const rap::Status& status) {
  if (status) return 0;
  std::cerr << "rap-control-plane: " << status.error().detail << "\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace rap;
  CLI::App app("The control plane of a secure access fabric", "rap-control-plane");
  app.require_subcommand(1);
  app.footer(
      "\nExamples:\n"
      "  rap-control-plane init --owner-login olga --owner-password-file password\n"
      "  rap-control-plane serve --config /etc/rap/control-plane.yaml\n"
      "\nExit status: 0 done, 1 failed, 2 wrong usage. More: docs/control-plane.md");
  std::string config_path = "/etc/rap/control-plane.yaml";
  cp::InitOptions init_options;

  auto* init = app.add_subcommand("init", "Make the schema, the keys and the first owner");
  auto* migrate = app.add_subcommand("migrate", "Apply missing migrations");
  auto* serve = app.add_subcommand("serve", "Answer requests until SIGINT or SIGTERM");
  const std::string output = "text";
  auto* version = &commandline::add_version_command(app, output);
  auto* openapi = app.add_subcommand("openapi", "Print the OpenAPI document of this program");
  for (auto* command : {init, migrate, serve}) {
    command->add_option("--config", config_path, "Configuration file (YAML)")
        ->capture_default_str();
  }
  init->add_option("--owner-login", init_options.owner_login, "Login of the first owner");
  init->add_option("--owner-name", init_options.owner_name, "Name to show; the login when absent");
  init->add_option("--owner-password-file", init_options.owner_password_file,
                   "File with the owner's password (10 bytes or more)");
  if (argc < 2) {
    std::cerr << app.help();
    return 2;
  }
  if (const auto status = commandline::read_words(app, argc, argv)) return *status;

  if (*version) return 0;  // it was printed
  if (*openapi) {
    std::cout << cp::openapi_document(cp::all_routes());
    return 0;
  }
  try {
    const auto config = cp::load_config(config_path);
    if (!config) return report(fail(config.error()));
    log::init("rap-control-plane", log::level_from_name(config->log_level));
    if (*init) return report(cp::run_init(*config, init_options, std::cout));
    if (*migrate) return report(cp::run_migrate(*config, std::cout));
    return report(cp::run_serve(*config));
  } catch (const std::exception& error) {
    std::cerr << "rap-control-plane: " << error.what() << "\n";
    return 1;
  }
}
