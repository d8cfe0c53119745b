#include <cstdio>
#include <exception>
#include <map>

#include <CLI/CLI.hpp>

#include "base/commandline/program.hpp"
#include "base/log.hpp"
#include "host/agent/commands/commands.hpp"
#include "host/agent/config/schema.hpp"

namespace {

using namespace rap;
using namespace rap::agent;

constexpr char kExamples[] =
    "Examples:\n"
    "  rap-node-agent enroll --server https://cp.example:8443 --token-file join.token\n"
    "  rap-node-agent run --config /etc/rap/agent.yaml\n"
    "  rap-node-agent status -o json\n"
    "  rap-node-agent status --check ready && echo fine\n"
    "  rap-node-agent diagnostics --directory /tmp/rap-diagnostics\n"
    "  rap-node-agent config validate agent.yaml\n"
    "  rap-node-agent stop --all\n"
    "\n"
    "SIGTERM ends the agent only: sessions, workers and listener go on, and the next agent takes\n"
    "them over. `stop --all` ends everything. Exit status: 0 done, 1 failed, 2 wrong usage.";

struct Arguments {
  std::string config_file;
  std::string output = "text";
  std::string server;
  std::string token_file;
  std::string node_name;
  bool no_wait = false;
  bool all = false;
  std::string check;
  std::string directory;

  Output form() const { return output == "json" ? Output::json : Output::text; }
  ConfigSource source() const {
    ConfigSource out;
    if (!config_file.empty()) {
      out.file = config_file;
      out.file_required = true;
    }
    return out;
  }
};

Check check_of(const std::string& text) {
  if (text == "live") return Check::live;
  if (text == "ready") return Check::ready;
  return text == "startup" ? Check::startup : Check::none;
}

int with_config(const Arguments& arguments, const std::function<int(const Config&)>& command) {
  auto config = load_config(arguments.source(), process_environment());
  if (!config) return report_failure(config.error(), arguments.form());
  log::init("rap-node-agent", config->log_level);
  return command(*config);
}

int dispatch(const CLI::App& app, const Arguments& arguments) {
  const auto chosen = [&](const char* name) { return app.got_subcommand(name); };
  if (chosen("version")) return 0;  // it was printed
  if (chosen("config")) {
    if (app.get_subcommand("config")->got_subcommand("schema")) {
      std::printf("%s", std::string(config_schema_text()).c_str());
      return 0;
    }
    return config_validate_command(arguments.source(), arguments.form());
  }
  return with_config(arguments, [&](const Config& config) {
    if (chosen("enroll")) {
      EnrollOptions options;
      options.server = arguments.server.empty() ? config.server : arguments.server;
      options.token_file = arguments.token_file;
      options.node_name = arguments.node_name.empty() ? config.node_name : arguments.node_name;
      options.wait = arguments.no_wait ? EnrollOptions::Wait::no : EnrollOptions::Wait::yes;
      return enroll_command(config, std::move(options), arguments.form());
    }
    if (chosen("run")) return run_command(config);
    if (chosen("status")) {
      return status_command(config, check_of(arguments.check), arguments.form());
    }
    if (chosen("diagnostics")) {
      return diagnostics_command(config, arguments.directory, arguments.form());
    }
    return stop_command(config);
  });
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Runs the workloads of one node of a secure access fabric.", "rap-node-agent");
  app.require_subcommand(1);
  app.footer(kExamples);
  const auto add = [&](CLI::App* parent, const char* name, const char* what,
                       const char* examples = "") {
    CLI::App* out = &commandline::add_command(*parent, name, what, examples);
    out->add_option("--config", arguments.config_file, "default /etc/rap/agent.yaml");
    return out;
  };
  const auto with_output = [&](CLI::App* command) {
    command->add_option("-o,--output", arguments.output, "text or json")
        ->check(CLI::IsMember({"text", "json"}));
    return command;
  };
  CLI::App* enroll = with_output(
      add(&app, "enroll", "Ask to join a cluster, and wait.",
          "  rap-node-agent enroll --server https://cp.example:8443 --token-file join.token\n"));
  enroll->add_option("--server", arguments.server, "https://host:port of the control plane");
  enroll->add_option("--token-file", arguments.token_file, "file with the join token")->required();
  enroll->add_option("--node-name", arguments.node_name, "proposed name; default: the host name");
  enroll->add_flag("--no-wait", arguments.no_wait, "do not wait for the approval");
  add(&app, "run", "Run in the foreground; logs go to standard error.");
  CLI::App* status = with_output(add(&app, "status", "What the running agent says about itself."));
  status->add_option("--check", arguments.check, "only an exit status: live, ready or startup")
      ->check(CLI::IsMember({"live", "ready", "startup"}));
  CLI::App* diagnostics =
      with_output(add(&app, "diagnostics", "Write a bundle for support, without secrets.",
                      "  rap-node-agent diagnostics --directory /tmp/rap-diagnostics\n"));
  diagnostics->add_option("--directory", arguments.directory, "where to write it")->required();
  CLI::App* stop = add(&app, "stop", "End sessions, workers, listener and the agent.",
                       "  rap-node-agent stop --all\n");
  stop->add_flag("--all", arguments.all, "yes, the sessions too")->required();
  CLI::App* config = app.add_subcommand("config", "Look at the configuration.");
  config->require_subcommand(1);
  CLI::App* validate =
      with_output(add(config, "validate", "Check the file and its drop-ins against the schema.",
                      "  rap-node-agent config validate agent.yaml\n"));
  validate->add_option("file", arguments.config_file, "The same as --config")->excludes("--config");
  config->add_subcommand("schema", "Print the JSON schema.");
  with_output(&commandline::add_version_command(app, arguments.output));

  if (const auto status_of_words = commandline::read_words(app, argc, argv)) {
    return *status_of_words;
  }
  try {
    return dispatch(app, arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rap-node-agent: %s\n", error.what());
    return 1;
  }
}
