#include "cli/cli.hpp"

#include <cstdlib>
#include <iostream>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"
#include "cli/prompt.hpp"

namespace rap::cli {
namespace {

constexpr std::size_t kCaBytesMax = 256 * 1024;
constexpr std::size_t kDocumentBytesMax = 64 * 1024;  // the server takes 8 to 16 KiB

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

Cli::Cli() : dir_(config_dir()) {}

Context Cli::context() {
  auto loaded = load_context(dir_);
  if (!loaded) {
    throw Failure(Exit::error, loaded.error().detail, "rapctl login --server URL writes it anew");
  }
  Context context = *std::move(loaded);
  const std::string wanted = !server.empty() ? server : from_environment("RAP_SERVER");
  if (!wanted.empty() && wanted != context.server) {
    context = Context{};  // neither the trust nor the login of another server
    context.server = wanted;
  }
  if (!ca_file.empty()) {
    auto pem = read_text_file(ca_file, kCaBytesMax);
    if (!pem) throw Failure(Exit::usage, "--ca-file " + pem.error().detail);
    context.ca_pem = *std::move(pem);
    context.ca_pin.clear();
  }
  if (const std::string file = from_environment("RAP_TOKEN_FILE"); !file.empty()) {
    context.token = std::string(read_value(file).text());
  }
  return context;
}

Api& Cli::api() {
  if (!api_) {
    const Context now = context();
    if (now.token.empty()) {
      throw Failure(
          Exit::unauthorized,
          "nobody is logged in" + (now.server.empty() ? "" : " at " + now.server),
          "rapctl login" +
              (now.server.empty() ? std::string(" --server https://host:port") : std::string()));
    }
    api_ = connect_api(now);
  }
  return *api_;
}

OutputStyle Cli::style() const {
  const Format format = output == "json"    ? Format::json
                        : output == "table" ? Format::table
                                            : Format::automatic;
  return {format, stdout_is_terminal()};
}

void Cli::list(const json::array& items, const std::vector<Column>& columns) {
  std::cout << render_list(items, columns, style());
}

void Cli::show(const json::value& item, const std::vector<Column>& columns) {
  std::cout << render_one(item, columns, style());
}

void Cli::done(const std::string& line, const json::value& item) {
  if (style().format == Format::json) {
    std::cout << render_one(item, {}, style());
  } else {
    std::cout << printable_lines(line) << "\n";
  }
}

std::string Cli::cluster(const std::string& text) {
  return resolve_or_only(api(), kCluster, "/v1/clusters", text, "--cluster");
}
std::string Cli::organization(const std::string& text) {
  return resolve_or_only(api(), kOrganization, "/v1/organizations", text, "--organization");
}

json::array Cli::of_organizations(const std::string& text, const std::string& what) {
  const std::string wanted = text.empty() ? "" : organization(text);
  json::array all;
  for (const json::value& one : api().list("/v1/organizations")) {
    const std::string id = text_at(one, "id");
    if (!wanted.empty() && id != wanted) continue;
    for (json::value& item : api().list("/v1/organizations/" + id + "/" + what)) {
      item.as_object()["organization"] = text_at(one, "slug");
      all.push_back(std::move(item));
    }
  }
  return all;
}
std::string Cli::user(const std::string& text) {
  return resolve(api(), kUser, "/v1/users", text);
}
std::string Cli::node(const std::string& text) {
  return resolve(api(), kNode, "/v1/nodes", text);
}

json::object json_object_argument(const std::string& text, const std::string& option) {
  std::string source = text;
  if (text.starts_with('@')) {
    auto read = read_text_file(text.substr(1), kDocumentBytesMax);
    if (!read) throw Failure(Exit::usage, option + ": " + read.error().detail);
    source = *std::move(read);
  }
  auto parsed = parse_json(source, {kDocumentBytesMax, 16});
  if (!parsed) throw Failure(Exit::usage, option + ": " + parsed.error().detail);
  json::value& value = *parsed;
  if (!value.is_object()) throw Failure(Exit::usage, option + ": want a JSON object, {..}");
  return std::move(value.get_object());
}

void add_cluster_option(CLI::App& command, std::string& cluster) {
  command.add_option("--cluster", cluster, "Cluster; not needed when there is one");
}
void add_organization_option(CLI::App& command, std::string& organization) {
  command.add_option("--organization", organization, "Organization; not needed when there is one");
}

void add_list(CLI::App& parent, Cli& cli, const std::string& about, const std::string& path,
              const std::vector<Column>& columns) {
  add_command(parent, "list", about).callback([&cli, path, columns] {
    cli.list(cli.api().list(path), columns);
  });
}

void add_cluster_list(CLI::App& parent, Cli& cli, const std::string& about, const std::string& what,
                      const std::vector<Column>& columns) {
  CLI::App& list = add_command(parent, "list", about);
  const auto cluster = std::make_shared<std::string>();
  add_cluster_option(list, *cluster);
  list.callback([&cli, cluster, what, columns] {
    cli.list(cli.api().list("/v1/clusters/" + cli.cluster(*cluster) + "/" + what), columns);
  });
}

void add_organization_list(CLI::App& parent, Cli& cli, const std::string& about,
                           const std::string& what, const std::vector<Column>& columns) {
  CLI::App& list = add_command(parent, "list", about);
  const auto organization = std::make_shared<std::string>();
  list.add_option("--organization", *organization, "Only of this organization");
  list.callback([&cli, organization, what, columns] {
    cli.list(cli.of_organizations(*organization, what), columns);
  });
}

void add_removal(CLI::App& parent, Cli& cli, const std::string& about, const std::string& id_of,
                 const std::string& path) {
  const std::string group = parent.get_name();
  CLI::App& remove =
      add_command(parent, "remove", about,
                  "  rapctl " + group + " remove ID      see rapctl " + group + " list\n");
  const auto id = std::make_shared<std::string>();
  remove.add_option("id", *id, "Id of the " + id_of)->required();
  remove.callback([&cli, id, path] {
    cli.api().remove(path + "/" + *id);
    cli.done("removed " + *id, nullptr);
  });
}

}  // namespace rap::cli
