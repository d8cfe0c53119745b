#include <filesystem>

#include <CLI/CLI.hpp>

#include "base/commandline/program.hpp"
#include "base/commandline/standard_output.hpp"
#include "base/commandline/suggest.hpp"
#include "base/log.hpp"
#include "host/plugin-check/commands.hpp"

namespace {

int run(int argc, char** argv) {
  rap::log::init("rap-plugin-check", rap::log::Level::warn);
  CLI::App app("Checks a RAP plugin against the rules of docs/plugin-guide.md.",
               "rap-plugin-check");
  app.footer(
      "\nExamples:\n"
      "  rap-plugin-check build/plugins/ssh.so\n"
      "  rap-plugin-check echo.so --level 3 --only T4,stop -o json\n"
      "  rap-plugin-check echo.so --manifest echo.json\n"
      "\nExit status: 0 all that was checked is right, 1 something is not, 2 wrong usage.\n"
      "Manual: man rap-plugin-check");
  app.require_subcommand(0, 1);

  rap::check::CheckCommand check;
  std::string format = "text";
  app.add_option("plugin", check.plugin, "the plugin's .so file");
  app.add_option("--level", check.run.level, "1 the file, 2 load and create, 3 sessions too")
      ->check(CLI::Range(1, 3))
      ->capture_default_str();
  app.add_option("--manifest", check.manifest, "a release manifest the plugin must agree with");
  app.add_option("--session-options", check.session_options,
                 "JSON object that sessions of level 3 are opened with");
  app.add_option("--only", check.run.only, "rules (T4) or check names, separated by commas")
      ->delimiter(',');
  app.add_option("--limit-ms", check.limit_ms, "time for one check")
      ->check(CLI::Range(100, 600000))
      ->capture_default_str();
  app.add_option("-o,--output", format, "text or json")->check(CLI::IsMember({"text", "json"}));

  rap::check::ManifestCommand manifest;
  auto* make = &rap::commandline::add_command(
      app, "manifest", "write the release manifest of a plugin",
      "  rap-plugin-check manifest ssh.so --product plugin.rap.ssh --version 0.1.0 --seq 1 \\\n"
      "    --out ssh.json\n");
  make->add_option("plugin", manifest.plugin, "the plugin's .so file")->required();
  make->add_option("--product", manifest.product, "plugin.<vendor>.<name>")->required();
  make->add_option("--version", manifest.version, "version of the release")->required();
  make->add_option("--seq", manifest.release_seq, "sequence number of the release, from 1")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 53))
      ->required();
  make->add_option("--epoch", manifest.security_epoch, "security epoch")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 53));
  make->add_option("--built-from", manifest.built_from, "commit");
  make->add_option("--out", manifest.out, "file to write instead of standard output");

  auto* sandbox =
      &rap::commandline::add_command(app, "sandbox", "which layers of the sandbox this host has",
                                     "  rap-plugin-check sandbox -o json\n");
  sandbox->add_option("-o,--output", format, "text or json")
      ->check(CLI::IsMember({"text", "json"}));

  auto* version = &rap::commandline::add_version_command(app, format);
  version->add_option("-o,--output", format, "text or json")
      ->check(CLI::IsMember({"text", "json"}));

  if (const auto status = rap::commandline::read_words(app, argc, argv)) return *status;
  if (version->parsed()) return 0;
  if (make->parsed()) return rap::check::manifest_command(manifest);
  if (sandbox->parsed()) return rap::check::sandbox_command(format == "json");
  if (check.plugin.empty()) {
    std::cerr << app.help();
    return 2;
  }
  // The first word is a file or a command.
  const std::string near =
      rap::commandline::nearest_word(check.plugin, {"manifest", "sandbox", "version"});
  if (std::error_code ignored; !near.empty() && !std::filesystem::exists(check.plugin, ignored)) {
    std::cerr << "rap-plugin-check: no file '" << check.plugin << "'; did you mean the command '"
              << near << "'?\n";
    return 2;
  }
  check.json = format == "json";
  return rap::check::check_command(check);
}

}  // namespace

int main(int argc, char** argv) {
  rap::commandline::prepare_standard_streams();
  return rap::commandline::finish_standard_output("rap-plugin-check", run(argc, argv));
}
