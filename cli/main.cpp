// rapctl: the command line; everything it does is in the other files.
#include <clocale>
#include <iostream>

#include <CLI/CLI.hpp>

#include "base/commandline/program.hpp"
#include "base/commandline/standard_output.hpp"
#include "base/log.hpp"
#include "cli/cli.hpp"
#include "cli/output.hpp"
#include "cli/prompt.hpp"

namespace {

int report(const rap::cli::Failure& failure) {
  std::cerr << "rapctl: " << rap::cli::printable_lines(failure.what()) << "\n";
  if (!failure.todo.empty()) std::cerr << "  " << rap::cli::printable_lines(failure.todo) << "\n";
  return static_cast<int>(failure.code);
}

int run(int argc, char** argv) {
  using namespace rap;
  using namespace rap::cli;
  std::setlocale(LC_CTYPE, "");
  rap::log::init("rapctl", rap::log::Level::error);

  CLI::App app("Everything an owner or a user of RAP does from a terminal", "rapctl");
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help of all commands");
  app.footer(
      "\nExamples:\n"
      "  rapctl login --server https://rap.example.org:8443 --ca-file ca.pem\n"
      "  rapctl session open --resource web-1\n"
      "  rapctl session list -o json\n"
      "\nExit status: 0 done, 1 error, 2 wrong command line, 3 not logged in, 4 not allowed, 5 not "
      "found, 6 conflict,\n7 server away; of sessions: the shell's own, 250 taken over, 251 "
      "connection "
      "lost, 252 terminated, 253 target lost.\nManual: man rapctl");
  app.fallthrough();
  Cli cli;
  app.add_option("--server", cli.server, "Control plane, https://host:port (also RAP_SERVER)");
  app.add_option("--ca-file,--ca", cli.ca_file, "CA certificate of the control plane, PEM");
  app.add_option("-o,--output", cli.output, "Output: table or json")
      ->check(CLI::IsMember({"table", "json"}));

  add_login_commands(app, cli);
  add_cluster_commands(app, cli);
  add_node_commands(app, cli);
  add_mesh_commands(app, cli);
  add_organization_commands(app, cli);
  add_people_commands(app, cli);
  add_resource_commands(app, cli);
  add_operation_commands(app, cli);
  add_session_commands(app, cli);
  add_completion_command(app, cli);
  commandline::add_version_command(app, cli.output);

  try {
    return commandline::read_words(app, argc, argv).value_or(cli.status);
  } catch (const Failure& failure) {
    return report(failure);
  } catch (const std::exception& error) {
    return report(Failure(Exit::error, error.what()));
  }
}

}  // namespace

int main(int argc, char** argv) {
  rap::commandline::prepare_standard_streams();
  return rap::commandline::finish_standard_output("rapctl", run(argc, argv));
}
