#include <CLI/CLI.hpp>

#include "base/log.hpp"
#include "host/plugin-check/commands.hpp"

int main(int argc, char** argv) {
  rap::log::init("rap-plugin-check", rap::log::Level::warn);
  CLI::App app("Checks a RAP plugin against the rules of docs/plugin-guide.md.");
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
  auto* make = app.add_subcommand("manifest", "write the release manifest of a plugin");
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

  auto* sandbox = app.add_subcommand("sandbox", "which layers of the sandbox this host has");
  sandbox->add_option("-o,--output", format, "text or json")
      ->check(CLI::IsMember({"text", "json"}));

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (make->parsed()) return rap::check::manifest_command(manifest);
  if (sandbox->parsed()) return rap::check::sandbox_command(format == "json");
  if (check.plugin.empty()) {
    std::cerr << app.help();
    return 2;
  }
  check.json = format == "json";
  return rap::check::check_command(check);
}
