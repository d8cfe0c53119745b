#include <memory>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "base/bytes.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/net/tcp.hpp"
#include "cli/cli.hpp"
#include "cli/prompt.hpp"

namespace rap::cli {
namespace {

const std::vector<Column> kResourceColumns = {
    {"NAME", "name"},        {"PROTOCOL", "protocol"},         {"HOST", "target.host"},
    {"PORT", "target.port"}, {"ORGANIZATION", "organization"}, {"ID", "id"}};

struct Options {
  std::string organization, cluster, resource, name, protocol = "ssh", target, secret, options,
                                                     file;
};
using Shared = std::shared_ptr<Options>;

std::string resources_path(const std::string& organization) {
  return "/v1/organizations/" + organization + "/resources";
}
std::string secrets_path(const std::string& organization) {
  return "/v1/organizations/" + organization + "/secrets";
}

json::object target_of(const std::string& text) {
  const auto at = net::parse_host_port(text);
  if (!at) throw Failure(Exit::usage, "--target '" + text + "': " + at.error().detail);
  return {{"host", at->host}, {"port", at->port}};
}

std::string named_cluster(Cli& cli, const std::string& text) {
  try {
    return cli.cluster(text);
  } catch (const Failure& failure) {
    if (failure.code != Exit::forbidden) throw;
    throw Failure(failure.code, "only an owner of the platform may find clusters by name",
                  "give the cluster's id (cls_...), which the owner knows");
  }
}

std::string id_of(Cli& cli, const Options& o) {
  if (o.resource.starts_with(kResource.prefix)) return o.resource;
  return resolve_among(cli.of_organizations(o.organization, "resources"), kResource, o.resource);
}

void put_common(Cli& cli, const Options& o, json::object& body) {
  if (!o.target.empty()) body["target"] = target_of(o.target);
  if (!o.options.empty()) body["options"] = json_object_argument(o.options, "--options");
  if (!o.secret.empty()) {
    body["secret_ref"] =
        resolve(cli.api(), kSecret, secrets_path(cli.organization(o.organization)), o.secret);
  }
}

void add_common(CLI::App& command, const Shared& o, bool target_required) {
  add_organization_option(command, o->organization);
  command.add_option("--target", o->target, "host:port as the nodes reach it")
      ->required(target_required);
  command.add_option("--secret", o->secret, "Name or id of the secret to log in with");
  command.add_option(
      "--options", o->options,
      "Options of the protocol: JSON, or @file; the protocol's plugin checks them when "
      "a session is opened");
}

void add_resource(CLI::App& app, Cli& cli) {
  CLI::App& resource = add_command(app, "resource", "Targets that sessions lead to");
  resource.require_subcommand(1);
  const Shared o = std::make_shared<Options>();

  CLI::App& create = add_command(
      resource, "create", "Make a resource",
      "  rapctl resource create --name web-1 --target 10.0.0.5:22 --secret web-key \\\n"
      "    --options '{\"user\":\"root\",\"auth\":\"publickey\",\"known_hosts\":[\"ssh-ed25519 "
      "AAAA...\"]}'\n");
  create.add_option("--name", o->name, "Name")->required();
  create
      .add_option("--protocol", o->protocol,
                  "What is spoken with the target: nodes with the role PROTOCOL-worker serve it; "
                  "ssh is the one that comes with RAP")
      ->capture_default_str();
  add_cluster_option(create, o->cluster);
  add_common(create, o, true);
  create.callback([&cli, o] {
    json::object body{{"name", o->name}, {"protocol", o->protocol}, {"options", json::object()}};
    // Without it the server takes the only one: who is no owner of the platform cannot list them.
    if (!o->cluster.empty()) body["cluster_id"] = named_cluster(cli, o->cluster);
    put_common(cli, *o, body);
    const json::value made =
        cli.api().post(resources_path(cli.organization(o->organization)), body);
    cli.done("created resource " + o->name + " (" + text_at(made, "id") + ")", made);
  });
  add_organization_list(resource, cli, "List resources", "resources", kResourceColumns);
  const auto named = [&](CLI::App& command) -> CLI::App& {
    command.add_option("resource", o->resource, "Name or id")->required();
    return command;
  };
  CLI::App& show =
      named(add_command(resource, "show", "Show a resource", "  rapctl resource show web-1\n"));
  show.add_option("--organization", o->organization, "Whose, when the name is not unique");
  show.callback([&cli, o] {
    cli.show(cli.api().get("/v1/resources/" + id_of(cli, *o)), {{"Name", "name"},
                                                                {"Id", "id"},
                                                                {"Protocol", "protocol"},
                                                                {"Cluster", "cluster_id"},
                                                                {"Host", "target.host"},
                                                                {"Port", "target.port"},
                                                                {"Secret", "secret_ref"},
                                                                {"Options", "options"}});
  });
  CLI::App& update = named(add_command(resource, "update", "Change a resource",
                                       "  rapctl resource update web-1 --target 10.0.0.6:22\n"));
  update.add_option("--name", o->name, "New name");
  add_common(update, o, false);
  update.callback([&cli, o] {
    const std::string path = "/v1/resources/" + id_of(cli, *o);
    json::object body;
    if (!o->name.empty()) body["name"] = o->name;
    put_common(cli, *o, body);
    if (body.empty())
      throw Failure(Exit::usage, "nothing to change",
                    "give --name, --target, --secret or --options");
    const ApiResponse now = cli.api().send({"GET", path, {}, {}});
    const ApiResponse changed = cli.api().send({"PATCH", path, json::serialize(body), now.etag});
    cli.done("changed resource " + o->resource, json::parse(changed.body));
  });
  CLI::App& remove = named(add_command(resource, "delete", "Delete a resource; its sessions end",
                                       "  rapctl resource delete web-1\n"));
  remove.add_option("--organization", o->organization, "Whose, when the name is not unique");
  remove.callback([&cli, o] {
    cli.api().remove("/v1/resources/" + id_of(cli, *o));
    cli.done("deleted resource " + o->resource, nullptr);
  });
}

void add_secret(CLI::App& app, Cli& cli) {
  CLI::App& secret = add_command(app, "secret", "Passwords and keys that nodes use for people");
  secret.require_subcommand(1);
  const Shared o = std::make_shared<Options>();
  CLI::App& put = add_command(secret, "put", "Store a secret; nobody can read it back",
                              "  rapctl secret put web-key --from-file ~/.ssh/id_ed25519\n"
                              "  pass show web | rapctl secret put web-password --from-file -\n");
  put.add_option("name", o->name, "Name")->required();
  put.add_option("--from-file", o->file, "File with the value, - for standard input")->required();
  add_organization_option(put, o->organization);
  put.callback([&cli, o] {
    const Secret value = read_value(o->file);
    std::string text(value.text());
    // A private key is not complete without its last line end.
    if (text.starts_with("-----BEGIN")) text += "\n";
    const json::value made = cli.api().post(secrets_path(cli.organization(o->organization)),
                                            json::object{{"name", o->name}, {"value", text}});
    wipe(text);
    cli.done("stored secret " + o->name + " (" + text_at(made, "id") + ")", made);
  });
  add_organization_list(secret, cli, "List the names of secrets", "secrets",
                        {{"NAME", "name"},
                         {"ORGANIZATION", "organization"},
                         {"CREATED", "created_at"},
                         {"ID", "id"}});
  CLI::App& remove =
      add_command(secret, "delete", "Delete a secret", "  rapctl secret delete web-key\n");
  remove.add_option("name", o->name, "Name or id")->required();
  remove.add_option("--organization", o->organization, "Whose, when the name is not unique");
  remove.callback([&cli, o] {
    const std::string id =
        o->name.starts_with(kSecret.prefix)
            ? o->name
            : resolve_among(cli.of_organizations(o->organization, "secrets"), kSecret, o->name);
    cli.api().remove("/v1/secrets/" + id);
    cli.done("deleted secret " + o->name, nullptr);
  });
}

}  // namespace

void add_resource_commands(CLI::App& app, Cli& cli) {
  add_resource(app, cli);
  add_secret(app, cli);
}

}  // namespace rap::cli
