#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/id.hpp"
#include "base/json.hpp"
#include "cli/cli.hpp"

namespace rap::cli {
namespace {

const std::vector<Column> kClusterColumns = {
    {"NAME", "name"}, {"SLUG", "slug"}, {"STATUS", "status"}, {"REGION", "region"}, {"ID", "id"}};
const std::vector<Column> kTokenColumns = {{"ID", "id"},
                                           {"USED", "used_count"},
                                           {"OF", "max_uses"},
                                           {"EXPIRES", "expires_at"},
                                           {"REVOKED", "revoked_at"},
                                           {"ROLES", "scope.roles"}};
const std::vector<Column> kRequestColumns = {{"ID", "id"},
                                             {"NODE", "node_name"},
                                             {"STATUS", "status"},
                                             {"ADDRESS", "address"},
                                             {"AGENT", "agent_version"},
                                             {"ROLES", "requested_roles"},
                                             {"RENEWS", "renews_node_id"},
                                             {"AT", "created_at"}};
const std::vector<Column> kRequestDetails = {{"Id", "id"},
                                             {"Node name", "node_name"},
                                             {"Status", "status"},
                                             {"Address", "address"},
                                             {"Key fingerprint", "fingerprint"},
                                             {"Agent version", "agent_version"},
                                             {"Requested roles", "requested_roles"},
                                             {"Capabilities", "capabilities"},
                                             {"Facts", "facts"},
                                             {"Join token", "join_token_id"},
                                             {"Asked at", "created_at"},
                                             {"Reviewed at", "reviewed_at"},
                                             {"Rejected because", "rejection_reason"},
                                             {"Renews node", "renews_node_id"},
                                             {"Became node", "node_id"}};

const std::vector<Column> kRootDetails = {{"Cluster", "cluster_id"},
                                          {"Version", "version"},
                                          {"SHA-256 of what is signed", "signed_sha256"},
                                          {"Trust", "trust"},
                                          {"Signatures", "signatures"},
                                          {"Needed", "threshold"}};

struct Options {
  std::string cluster, file, id, name, slug, region, reason, node_name, group, status;
  std::vector<std::string> roles;
  std::int64_t ttl_s = 3600;
  std::int64_t max_uses = 1;
};
using Shared = std::shared_ptr<Options>;

constexpr std::size_t kRootBytesMax = 512 << 10;  // what a node accepts

void add_cluster_root(CLI::App& cluster, Cli& cli) {
  CLI::App& root = add_command(
      cluster, "root", "The root of a cluster's director, which holders of the `trust` keys sign",
      "  rapctl cluster root export berlin-root.json --cluster berlin\n"
      "  rap-sign sign berlin-root.json --key trust-1      (where the key is)\n"
      "  rapctl cluster root import berlin-root.json\n");
  root.require_subcommand(1);
  const Shared o = std::make_shared<Options>();

  CLI::App& show = add_command(root, "show", "Show how many signatures it has");
  show.add_option("--cluster", o->cluster, "Cluster; not needed when there is one");
  show.callback([&cli, o] {
    cli.show(cli.api().get("/v1/clusters/" + cli.cluster(o->cluster) + "/director-root"),
             kRootDetails);
  });
  CLI::App& take = add_command(root, "export", "Write it to a file for the holders",
                               "  rapctl cluster root export berlin-root.json --cluster berlin\n");
  take.add_option("file", o->file, "File to write")->required();
  take.add_option("--cluster", o->cluster, "Cluster; not needed when there is one");
  take.callback([&cli, o] {
    const json::value answer =
        cli.api().get("/v1/clusters/" + cli.cluster(o->cluster) + "/director-root");
    const std::string text = json::serialize(answer.at("document")) + "\n";
    require(write_file_atomic(o->file, text), o->file);
    cli.done("wrote " + o->file + "; rap-sign must show cluster " + text_at(answer, "cluster_id") +
                 " and sha256 " + text_at(answer, "signed_sha256"),
             answer);
  });
  CLI::App& give = add_command(root, "import", "Bring back the signatures of the holders",
                               "  rapctl cluster root import berlin-root.json\n");
  give.add_option("file", o->file, "File that rap-sign signed")->required();
  give.callback([&cli, o] {
    const auto text = read_text_file(o->file, kRootBytesMax);
    if (!text) throw Failure(Exit::usage, text.error().detail);
    const auto parsed = parse_json(*text);
    if (!parsed) throw Failure(Exit::usage, o->file + ": " + parsed.error().detail);
    const json::value& document = *parsed;
    const std::string id = text_at(document, "signed.cluster_id");
    if (!ClusterId::parse(id)) {
      throw Failure(Exit::usage, o->file + ": not the root of a cluster's director");
    }
    const json::value answer = cli.api().post("/v1/clusters/" + id + "/director-root/signatures",
                                              json::object{{"document", document}});
    cli.done("cluster " + id + ": " + text_at(answer, "signatures") + " of " +
                 text_at(answer, "threshold") + " signatures",
             answer);
  });
}

void add_cluster(CLI::App& app, Cli& cli) {
  CLI::App& cluster = add_command(app, "cluster", "Clusters: nodes that trust each other");
  cluster.require_subcommand(1);
  const Shared o = std::make_shared<Options>();

  CLI::App& create = add_command(cluster, "create", "Make a cluster",
                                 "  rapctl cluster create --name 'Berlin' --slug berlin\n");
  create.add_option("--name", o->name, "Name for people")->required();
  create.add_option("--slug", o->slug, "Short name: a-z, 0-9, -")->required();
  create.add_option("--region", o->region, "Where it is");
  create.callback([&cli, o] {
    json::object body{{"name", o->name}, {"slug", o->slug}};
    if (!o->region.empty()) body["region"] = o->region;
    const json::value made = cli.api().post("/v1/clusters", body);
    cli.done("created cluster " + o->slug + " (" + text_at(made, "id") + ")", made);
  });
  add_list(cluster, cli, "List clusters", "/v1/clusters", kClusterColumns);
  CLI::App& show = add_command(cluster, "show", "Show a cluster", "  rapctl cluster show berlin\n");
  show.add_option("cluster", o->cluster, "Name, slug or id")->required();
  show.callback([&cli, o] {
    cli.show(cli.api().get("/v1/clusters/" + cli.cluster(o->cluster)), {{"Name", "name"},
                                                                        {"Slug", "slug"},
                                                                        {"Status", "status"},
                                                                        {"Region", "region"},
                                                                        {"Id", "id"},
                                                                        {"Created", "created_at"}});
  });
  add_cluster_root(cluster, cli);
}

// CLI::PositiveNumber says it with the largest double there is.
std::string one_or_more(const std::string& text) {
  return text.starts_with('-') || text == "0" ? "must be 1 or more" : "";
}

void add_join_token(CLI::App& app, Cli& cli) {
  CLI::App& token = add_command(app, "join-token", "Tokens with which machines ask to join");
  token.require_subcommand(1);
  const Shared o = std::make_shared<Options>();

  CLI::App& create =
      add_command(token, "create", "Make a join token and print it, once",
                  "  (umask 077; rapctl join-token create --cluster berlin --ttl 600 > token)\n"
                  "  rap-node-agent enroll --token-file token ...\n");
  add_cluster_option(create, o->cluster);
  create.add_option("--ttl", o->ttl_s, "Seconds it can be used")
      ->check(one_or_more)
      ->capture_default_str();
  create.add_option("--max-uses", o->max_uses, "Machines that may use it")
      ->check(one_or_more)
      ->capture_default_str();
  create.add_option("--role", o->roles, "Only for nodes with these roles; may be repeated");
  create.callback([&cli, o] {
    json::object scope;
    if (!o->roles.empty()) scope["roles"] = json::array(o->roles.begin(), o->roles.end());
    const json::value made = cli.api().post(
        "/v1/clusters/" + cli.cluster(o->cluster) + "/join-tokens",
        json::object{{"ttl_s", o->ttl_s}, {"max_uses", o->max_uses}, {"scope", scope}});
    cli.done(text_at(made, "token"), made);
  });
  add_cluster_list(token, cli, "List join tokens (never their secrets)", "join-tokens",
                   kTokenColumns);
  CLI::App& revoke = add_command(token, "revoke", "Make a join token useless",
                                 "  rapctl join-token revoke jtk_...\n");
  revoke.add_option("id", o->id, "Id of the token")->required();
  revoke.callback([&cli, o] {
    const json::value answer = cli.api().post("/v1/join-tokens/" + o->id + "/revoke");
    cli.done("revoked " + o->id, answer);
  });
}

void add_join_request(CLI::App& app, Cli& cli) {
  CLI::App& request = add_command(app, "join-request", "Machines that ask to join a cluster");
  request.require_subcommand(1);
  const Shared o = std::make_shared<Options>();

  CLI::App& list = add_command(request, "list", "List join requests",
                               "  rapctl join-request list --status pending\n");
  add_cluster_option(list, o->cluster);
  list.add_option("--status", o->status, "Only pending, approved or rejected ones");
  list.callback([&cli, o] {
    std::string path = "/v1/clusters/" + cli.cluster(o->cluster) + "/join-requests";
    if (!o->status.empty()) path += "?status=" + o->status;
    cli.list(cli.api().list(path), kRequestColumns);
  });
  CLI::App& show = add_command(request, "show", "Show what a machine says about itself",
                               "  rapctl join-request show jrq_...\n");
  show.add_option("id", o->id, "Id of the request")->required();
  show.callback(
      [&cli, o] { cli.show(cli.api().get("/v1/join-requests/" + o->id), kRequestDetails); });

  CLI::App& approve = add_command(request, "approve", "Let the machine in",
                                  "  rapctl join-request approve jrq_... --node-name berlin-1\n");
  approve.add_option("id", o->id, "Id of the request")->required();
  approve.add_option("--node-name", o->node_name, "Another name than the machine proposes");
  approve.add_option("--group", o->group, "Id of a node group");
  approve.callback([&cli, o] {
    json::object body;
    if (!o->node_name.empty()) body["node_name"] = o->node_name;
    if (!o->group.empty()) body["group_id"] = o->group;
    const json::value answer = cli.api().post("/v1/join-requests/" + o->id + "/approve", body);
    cli.done("approved " + o->id + "; node " + text_at(answer, "node_id"), answer);
  });
  CLI::App& reject = add_command(request, "reject", "Keep the machine out",
                                 "  rapctl join-request reject jrq_... --reason 'not ours'\n");
  reject.add_option("id", o->id, "Id of the request")->required();
  reject.add_option("--reason", o->reason, "Told to the machine")->required();
  reject.callback([&cli, o] {
    const json::value answer = cli.api().post("/v1/join-requests/" + o->id + "/reject",
                                              json::object{{"reason", o->reason}});
    cli.done("rejected " + o->id, answer);
  });
}

}  // namespace

void add_cluster_commands(CLI::App& app, Cli& cli) {
  add_cluster(app, cli);
  add_join_token(app, cli);
  add_join_request(app, cli);
}

}  // namespace rap::cli
