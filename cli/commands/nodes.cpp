#include <iostream>
#include <map>
#include <memory>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "cli/cli.hpp"

namespace rap::cli {
namespace {

const std::vector<Column> kNodeColumns = {{"NAME", "name"},
                                          {"STATUS", "status"},
                                          {"PRESENCE", "presence"},
                                          {"ENDPOINT", "mesh_endpoint"},
                                          {"AGENT", "agent_version"},
                                          {"SEEN", "last_heartbeat_at"},
                                          {"ID", "id"}};
const std::vector<Column> kNodeDetails = {{"Name", "name"},
                                          {"Id", "id"},
                                          {"Cluster", "cluster_id"},
                                          {"Status", "status"},
                                          {"Reason", "status_reason"},
                                          {"Presence", "presence"},
                                          {"Last heartbeat", "last_heartbeat_at"},
                                          {"Endpoint", "mesh_endpoint"},
                                          {"Agent version", "agent_version"},
                                          {"Certificate until", "certificate_not_after"},
                                          {"Joined", "joined_at"},
                                          {"Group", "group_id"},
                                          {"Capabilities", "capabilities"}};
const std::vector<Column> kWorkloadColumns = {
    {"ROLE", "role"},     {"ORGANIZATION", "organization"},
    {"STATE", "state"},   {"VERSION", "version"},
    {"DETAIL", "detail"}, {"ASSIGNMENT", "assignment_id"}};
const std::vector<Column> kGroupColumns = {{"NAME", "name"}, {"PARENT", "parent_id"}, {"ID", "id"}};
const std::vector<Column> kRoleColumns = {{"ROLE", "role"},
                                          {"NODE", "node"},
                                          {"ORGANIZATION", "organization"},
                                          {"WORKLOAD", "workload.state"},
                                          {"VERSION", "workload.version"},
                                          {"DETAIL", "workload.detail"},
                                          {"ID", "id"}};

struct Options {
  std::string cluster, node, id, reason, name, parent, role, organization;
  std::string product, version, channel, config, policy;
};
using Shared = std::shared_ptr<Options>;

// Puts what people call the thing of `id_member` into `name_member`; its id when it is not listed.
void add_names(json::array& items, const json::array& things, const char* name,
               const std::string& id_member, const char* name_member) {
  std::map<std::string, std::string> names;
  for (const json::value& thing : things) names[text_at(thing, "id")] = text_at(thing, name);
  for (json::value& item : items) {
    json::object* object = item.if_object();
    const json::value* id = object ? object->if_contains(id_member) : nullptr;
    if (id == nullptr || !id->is_string()) continue;
    const auto known = names.find(text_at(item, id_member));
    (*object)[name_member] = known == names.end() ? *id : json::value(json::string(known->second));
  }
}

void add_node(CLI::App& app, Cli& cli) {
  CLI::App& node = add_command(app, "node", "Machines of a cluster");
  node.require_subcommand(1);
  const Shared o = std::make_shared<Options>();

  CLI::App& list = add_command(node, "list", "List nodes");
  list.add_option("--cluster", o->cluster, "Only of this cluster");
  list.callback([&cli, o] {
    const std::string query = o->cluster.empty() ? "" : "?cluster_id=" + cli.cluster(o->cluster);
    cli.list(cli.api().list("/v1/nodes" + query), kNodeColumns);
  });
  CLI::App& show = add_command(node, "show", "Show a node, what it can do and what it runs",
                               "  rapctl node show berlin-1\n");
  show.add_option("node", o->node, "Name or id")->required();
  show.callback([&cli, o] {
    const json::value item = cli.api().get("/v1/nodes/" + cli.node(o->node));
    cli.show(item, kNodeDetails);
    const json::object* object = item.if_object();
    const json::value* workloads = object ? object->if_contains("workloads") : nullptr;
    if (cli.output == "json" || !workloads || !workloads->is_array()) return;
    json::array rows = workloads->get_array();
    add_names(rows, cli.api().list("/v1/organizations"), "slug", "organization_id", "organization");
    cli.list(rows, kWorkloadColumns);
  });
  const auto verb = [&](const char* name, const char* about, const char* done, bool with_reason) {
    CLI::App& command = add_command(node, name, about,
                                    std::string("  rapctl node ") + name + " berlin-1" +
                                        (with_reason ? " --reason 'sold'\n" : "\n"));
    command.add_option("node", o->node, "Name or id")->required();
    if (with_reason) command.add_option("--reason", o->reason, "Kept in the audit log")->required();
    command.callback([&cli, o, name = std::string(name), done = std::string(done), with_reason] {
      json::object body;
      if (with_reason) body["reason"] = o->reason;
      const json::value answer =
          cli.api().post("/v1/nodes/" + cli.node(o->node) + "/" + name, body);
      cli.done(done + " " + o->node, answer);
    });
  };
  verb("revoke", "Take the node's identity away, for good", "revoked", true);
  verb("disable", "Let the node rest: it keeps its identity and gets no work", "disabled", false);
  verb("enable", "Let a disabled node work again", "enabled", false);
}

void add_node_group(CLI::App& app, Cli& cli) {
  CLI::App& group = add_command(app, "node-group", "Groups of nodes: an inventory, nothing else");
  group.require_subcommand(1);
  const Shared o = std::make_shared<Options>();

  add_cluster_list(group, cli, "List groups", "node-groups", kGroupColumns);
  CLI::App& create = add_command(group, "create", "Make a group",
                                 "  rapctl node-group create --name rack-7 --parent hall-2\n");
  add_cluster_option(create, o->cluster);
  create.add_option("--name", o->name, "Name")->required();
  create.add_option("--parent", o->parent, "Name or id of the group it belongs to");
  create.callback([&cli, o] {
    const std::string path = "/v1/clusters/" + cli.cluster(o->cluster) + "/node-groups";
    json::object body{{"name", o->name}};
    if (!o->parent.empty()) body["parent_id"] = resolve(cli.api(), kNodeGroup, path, o->parent);
    const json::value made = cli.api().post(path, body);
    cli.done("created node group " + o->name + " (" + text_at(made, "id") + ")", made);
  });
  CLI::App& remove = add_command(group, "delete", "Delete a group; its nodes stay",
                                 "  rapctl node-group delete rack-7\n");
  add_cluster_option(remove, o->cluster);
  remove.add_option("group", o->id, "Name or id")->required();
  remove.callback([&cli, o] {
    const std::string path = "/v1/clusters/" + cli.cluster(o->cluster) + "/node-groups";
    cli.api().remove("/v1/node-groups/" + resolve(cli.api(), kNodeGroup, path, o->id));
    cli.done("deleted node group " + o->id, nullptr);
  });
}

// Single options go before what the whole document says.
json::object assignment_policy(const Options& o) {
  json::object out;
  if (!o.policy.empty()) out = json_object_argument(o.policy, "--policy");
  for (const auto& [key, value] :
       {std::pair{"product", &o.product}, {"version", &o.version}, {"channel", &o.channel}}) {
    if (!value->empty()) out[key] = *value;
  }
  if (!o.config.empty()) out["config"] = json_object_argument(o.config, "--config");
  return out;
}

// What to say of a wish for a version that is not there (it may come later); or nothing.
std::string unlisted(Cli& cli, const json::object& policy) {
  const std::string version = text_at(policy, "version"), product = text_at(policy, "product");
  if (version == "-") return {};
  for (const json::value& release : cli.api().list("/v1/releases")) {
    if (text_at(release, "version") != version || text_at(release, "listed") != "yes") continue;
    if (product == "-" || text_at(release, "product") == product) return {};
  }
  return "Version Storage lists no " + (product == "-" ? "release" : product) + " " + version +
         ": the role is degraded until it does (rapctl release list, rapctl release sync)";
}

void add_role(CLI::App& app, Cli& cli) {
  CLI::App& role = add_command(app, "role", "What nodes may do");
  role.require_subcommand(1);
  const Shared o = std::make_shared<Options>();

  CLI::App& assign =
      add_command(role, "assign", "Let a node do something",
                  "  rapctl role assign ssh-worker --node berlin-1 --organization acme\n"
                  "  rapctl role assign ssh-worker --node berlin-1 --version 0.2.0\n"
                  "  rapctl role assign echo-service --node berlin-1 --organization acme \\\n"
                  "    --config '{\"greeting\":\"hello\"}'\n");
  assign.add_option("role", o->role, "ssh-worker, or another that a published plugin serves")
      ->required();
  assign.add_option("--node", o->node, "Name or id of the node")->required();
  assign.add_option("--organization", o->organization, "For whom; a worker's sessions are theirs");
  add_cluster_option(assign, o->cluster);
  assign.add_option("--product", o->product, "Only this product, where several serve the role");
  assign.add_option("--version", o->version, "Only this version of it");
  assign.add_option("--channel", o->channel,
                    "The channel that names the version; current unless given");
  assign.add_option("--config", o->config, "Configuration of the plugin: JSON, or @file");
  assign.add_option(
      "--policy", o->policy,
      "All of the above as the API has it: JSON with product, version, channel, config; "
      "or @file");
  assign.callback([&cli, o] {
    json::object body{{"node_id", cli.node(o->node)}, {"role", o->role}};
    if (!o->organization.empty()) body["organization_id"] = cli.organization(o->organization);
    json::object policy = assignment_policy(*o);
    const std::string remark = unlisted(cli, policy);
    if (!policy.empty()) body["policy"] = std::move(policy);
    const json::value made =
        cli.api().post("/v1/clusters/" + cli.cluster(o->cluster) + "/role-assignments", body);
    cli.done("assigned " + o->role + " to " + o->node + " (" + text_at(made, "id") + ")", made);
    if (!remark.empty()) std::cerr << "rapctl: " << printable_lines(remark) << "\n";
  });
  CLI::App& list = add_command(role, "list", "List role assignments");
  add_cluster_option(list, o->cluster);
  list.callback([&cli, o] {
    const std::string cluster = cli.cluster(o->cluster);
    json::array items = cli.api().list("/v1/clusters/" + cluster + "/role-assignments");
    add_names(items, cli.api().list("/v1/nodes?cluster_id=" + cluster), "name", "node_id", "node");
    add_names(items, cli.api().list("/v1/organizations"), "slug", "organization_id",
              "organization");
    cli.list(items, kRoleColumns);
  });
  add_removal(role, cli, "Take a role away; its sessions end", "assignment",
              "/v1/role-assignments");
}

}  // namespace

void add_node_commands(CLI::App& app, Cli& cli) {
  add_node(app, cli);
  add_node_group(app, cli);
  add_role(app, cli);
}

}  // namespace rap::cli
