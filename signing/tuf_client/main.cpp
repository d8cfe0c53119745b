// rap-tuf-client: the TUF client on the command line, in the form that the public conformance suite
// for TUF clients drives. Exit status 0, exactly 1 for every failure, 2 for a wrong command line.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/clock.hpp"
#include "base/commandline/program.hpp"
#include "base/commandline/standard_output.hpp"
#include "base/file.hpp"
#include "signing/tuf_client/http_fetcher.hpp"
#include "signing/verify/updater.hpp"

namespace {

using rap::Errc;
using rap::fail;
using rap::Status;
using rap::tuf::TufClient;

struct Arguments {
  std::string metadata_dir;
  std::string metadata_url;
  std::vector<std::string> target_names;
  std::string target_dir;
  std::string target_base_url;
  std::string root_file;
};

Status init(const Arguments& arguments) {
  auto root = rap::read_file(arguments.root_file, rap::tuf::Limits{}.root);
  if (!root) return fail(std::move(root.error()));
  return TufClient::init(arguments.metadata_dir, *root);
}

Status refresh(TufClient& client) {
  if (auto status = client.refresh(); !status) return status;
  const auto versions = client.versions();
  std::printf("root %lld, timestamp %lld, snapshot %lld, targets %lld\n",
              static_cast<long long>(versions.root), static_cast<long long>(versions.timestamp),
              static_cast<long long>(versions.snapshot), static_cast<long long>(versions.targets));
  return {};
}

Status download(TufClient& client, const std::vector<std::string>& names) {
  if (auto status = refresh(client); !status) return status;
  for (const std::string& name : names) {
    auto target = client.find_target(name);
    if (!target) return fail(target.error(), name);
    if (!*target) return fail(Errc::not_found, name + ": no trusted role lists it");
    auto path = client.download(**target);
    if (!path) return fail(path.error(), name);
    std::printf("%s\n", path->c_str());
  }
  return {};
}

int report(const Status& status) {
  if (status) return 0;
  std::fprintf(stderr, "rap-tuf-client: %s\n", status.error().text().c_str());
  return 1;
}

int wrong(const char* missing) {
  std::fprintf(stderr, "rap-tuf-client: want %s\n  run with --help\n", missing);
  return 2;
}

int run(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"Keeps trusted TUF metadata up to date and downloads verified files."};
  app.name("rap-tuf-client");
  app.add_option("--metadata-dir", arguments.metadata_dir, "trusted metadata");
  app.add_option("--metadata-url", arguments.metadata_url, "repository metadata, http://");
  app.add_option("--target-name", arguments.target_names, "target path; may be repeated")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->expected(1)
      ->allow_extra_args(false);
  app.add_option("--target-dir", arguments.target_dir, "where downloads go");
  app.add_option("--target-base-url", arguments.target_base_url, "repository targets, http://");
  CLI::App* init_command = app.add_subcommand("init", "trust a first root");
  init_command->add_option("root", arguments.root_file, "root metadata")->required();
  CLI::App* refresh_command = app.add_subcommand("refresh", "bring trusted metadata up to date");
  CLI::App* download_command = app.add_subcommand("download", "refresh, then download targets");
  app.require_subcommand(1);
  const std::string output = "text";
  CLI::App& version = rap::commandline::add_version_command(app, output);
  if (const auto status = rap::commandline::read_words(app, argc, argv)) return *status;
  if (version.parsed()) return 0;
  if (arguments.metadata_dir.empty()) return wrong("--metadata-dir");
  if (init_command->parsed()) return report(init(arguments));

  if (arguments.metadata_url.empty()) return wrong("--metadata-url");
  if (download_command->parsed() &&
      (arguments.target_names.empty() || arguments.target_dir.empty() ||
       arguments.target_base_url.empty())) {
    return wrong("--target-name, --target-dir and --target-base-url");
  }
  rap::RealClock clock;
  rap::tuf::HttpFetcher fetcher;
  rap::tuf::TufClientConfig config;
  config.metadata_dir = arguments.metadata_dir;
  config.metadata_url = arguments.metadata_url;
  config.targets_dir = arguments.target_dir;
  config.targets_url = arguments.target_base_url;
  TufClient client(std::move(config), fetcher, clock);
  if (refresh_command->parsed()) return report(refresh(client));
  return report(download(client, arguments.target_names));
}

}  // namespace

int main(int argc, char** argv) {
  rap::commandline::prepare_standard_streams();
  try {
    return rap::commandline::finish_standard_output("rap-tuf-client", run(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rap-tuf-client: %s\n", error.what());
  } catch (...) {
    std::fprintf(stderr, "rap-tuf-client: unknown failure\n");
  }
  return 1;
}
