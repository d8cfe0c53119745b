// The mesh of a cluster as its owner sees and steers it.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"
#include "cli/cli.hpp"

namespace rap::cli {
namespace {

constexpr std::size_t kPolicyFileMax = 256 * 1024;
const Kind kPool{"egress pool", "egp_", {"name"}};

const std::vector<Column> kLinkColumns = {
    {"FROM", "node_name"},      {"TO", "peer_name"},        {"STATE", "state"},
    {"OTHER END", "far_state"}, {"SINCE", "since"},         {"ROUND TRIP", "rtt"},
    {"LOSS", "loss"},           {"BANDWIDTH", "bandwidth"}, {"AGE", "age"}};
const std::vector<Column> kEventColumns = {
    {"AT", "since"}, {"FROM", "node_name"}, {"TO", "peer_name"}, {"STATE", "state"}};
const std::vector<Column> kRouteColumns = {
    {"FROM", "from"}, {"WAY", "way"}, {"COST", "cost"}, {"WHY", "why"}};
const std::vector<Column> kTermColumns = {{"TERM", "term"},     {"OF", "of"},
                                          {"FIGURE", "figure"}, {"KNOWN", "known"},
                                          {"WEIGHT", "weight"}, {"COST", "cost"}};
const std::vector<Column> kRemovedColumns = {
    {"RULE", "sentence"}, {"TOOK", "count"}, {"FOR EXAMPLE", "example"}};
const std::vector<Column> kNodeDetails = {{"Name", "name"},
                                          {"Id", "node_id"},
                                          {"Region set", "region"},
                                          {"Trust", "trust"},
                                          {"Avoid", "avoid"},
                                          {"Drained by owner", "draining"},
                                          {"Leaving by itself", "leaving"},
                                          {"Thin", "thin"},
                                          {"Bootstrap", "bootstrap"},
                                          {"Last report", "reported_at"},
                                          {"Others are told", "told"}};
const std::vector<Column> kKeyColumns = {{"PURPOSE", "purpose"},
                                         {"SERVICE", "service_id"},
                                         {"ORGANIZATION", "organization_id"},
                                         {"UNTIL", "not_after"},
                                         {"KEY", "fingerprint"}};
const std::vector<Column> kPoolColumns = {
    {"NAME", "name"}, {"FOR", "whom"}, {"MEMBERS", "who"}, {"ID", "id"}};
const std::vector<Column> kRuleColumns = {{"ORGANIZATION", "name"},
                                          {"REGIONS", "where"},
                                          {"TRUST", "trust_min"},
                                          {"RELAYS", "relays_max"},
                                          {"OWN RELAYS ONLY", "own_relays_only"},
                                          {"STREAMS", "streams"},
                                          {"KB/S", "kbytes"}};

struct Options {
  std::string cluster, node, from, to, organization, channel_class, file, name, region, trust;
  std::vector<std::string> members, organizations, regions;
  int avoid = 0, relays = 3, streams = 0, kbytes = 0;
  bool everybody = false, own_relays = false, drain = false, undrain = false;
};
using Shared = std::shared_ptr<Options>;

std::string base(Cli& cli, const Shared& o) {
  return "/v1/clusters/" + cli.cluster(o->cluster);
}

bool wants_json(const Cli& cli) {
  return cli.output == "json";
}

// "1.5 ms"; unknown where nobody measured.
std::string figure(const json::object& item, std::string_view key, double divisor,
                   std::string_view unit) {
  const auto* value = item.if_contains(key);
  if (value == nullptr || value->is_null()) return "unknown";
  return fmt::format("{:.4g} {}", value->to_number<double>() / divisor, unit);
}

std::string age(std::int64_t seconds) {
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  return fmt::format("{} h", seconds / 3600);
}

std::string joined(const json::value* list, const std::string& member = {}) {
  std::string out;
  if (list == nullptr || !list->is_array()) return out;
  for (const json::value& item : list->get_array()) {
    const std::string text = member.empty() ? std::string(item.as_string()) : text_at(item, member);
    out += (out.empty() ? "" : ", ") + text;
  }
  return out;
}

json::array link_rows(json::array items) {
  for (json::value& item : items) {
    json::object& link = item.as_object();
    link["rtt"] = figure(link, "rtt_us", 1000, "ms");
    link["loss"] = figure(link, "loss_permille", 10, "%");
    link["bandwidth"] = figure(link, "kbps", 1000, "Mbit/s");
    link["age"] = age(json_int_or_none(link, "reported_age_s").value_or(0));
  }
  return items;
}

// A node by name or id, a service by id, a pool as pool:NAME.
std::string target(Cli& cli, const std::string& text) {
  if (text.starts_with("svc_")) return text;
  if (text.starts_with("pool:")) return text.substr(5);
  return cli.node(text);
}

json::value ask_routes(Cli& cli, const Shared& o) {
  std::string query = "?to=" + target(cli, o->to);
  if (!o->from.empty()) query += "&from=" + cli.node(o->from);
  if (!o->organization.empty()) query += "&organization_id=" + cli.organization(o->organization);
  if (!o->channel_class.empty()) query += "&class=" + o->channel_class;
  return cli.api().get(base(cli, o) + "/mesh-routes" + query);
}

std::string cost(const json::value& item) {
  return fmt::format("{:.1f} ms", item.as_object().at("cost_ms").to_number<double>());
}

std::string way(const json::value& path) {
  std::string out;
  for (const json::value& node : path.as_object().at("nodes").as_array()) {
    out += (out.empty() ? "" : " > ") + text_at(node, "name");
  }
  return out;
}

json::array route_rows(const json::value& answer) {
  json::array rows;
  for (const json::value& route : answer.as_object().at("routes").as_array()) {
    const json::array& paths = route.as_object().at("paths").as_array();
    const std::string from = text_at(route, "from.name");
    if (paths.empty()) {
      rows.push_back({{"from", from}, {"way", "none"}, {"why", text_at(route, "reason")}});
    }
    for (const json::value& path : paths) {
      const bool first = &path == &paths.front();
      rows.push_back({{"from", from},
                      {"way", way(path)},
                      {"cost", cost(path)},
                      {"why", first ? text_at(route, "choice") : "in reserve"}});
    }
  }
  return rows;
}

json::array term_rows(const json::value& path) {
  json::array rows;
  for (const json::value& item : path.as_object().at("terms").as_array()) {
    const json::object& term = item.as_object();
    const bool known = term.at("known").as_bool();
    const std::string peer = text_at(item, "peer.name");
    const double confidence = term.at("confidence").to_number<double>();
    rows.push_back({{"term", text_at(item, "term")},
                    {"of", text_at(item, "node.name") + (peer == "-" ? "" : " - " + peer)},
                    {"figure", figure(term, "raw", 1, text_at(item, "unit"))},
                    {"known", known ? fmt::format("{:.0f} %", confidence * 100) : "unknown"},
                    {"weight", fmt::format("{:.4g}", term.at("weight").to_number<double>())},
                    {"cost", cost(item)}});
  }
  return rows;
}

void explain(Cli& cli, const json::value& answer) {
  const json::array& routes = answer.as_object().at("routes").as_array();
  for (const json::value& route : routes) {
    const json::array& paths = route.as_object().at("paths").as_array();
    if (paths.empty()) std::cout << "No way: " << printable(text_at(route, "reason")) << "\n";
    for (const json::value& path : paths) {
      std::cout << printable(way(path)) << "  " << cost(path)
                << (&path == &paths.front() ? "  (" + text_at(route, "choice") + ")" : "") << "\n";
      cli.list(term_rows(path), kTermColumns);
      std::cout << "\n";
    }
    json::array removed;
    for (const json::value& item : route.as_object().at("removed").as_array()) {
      json::object row = item.as_object();
      const std::string peer = text_at(item, "peer.name");
      row["example"] = text_at(item, "node.name") + (peer == "-" ? "" : " - " + peer);
      removed.push_back(std::move(row));
    }
    if (!removed.empty()) cli.list(removed, kRemovedColumns);
  }
}

void add_looking(CLI::App& mesh, Cli& cli, const Shared& o) {
  CLI::App& links =
      add_command(mesh, "links", "Links as each end reported them last",
                  "  rapctl mesh links\n  rapctl mesh links --node relay-1 -o json\n");
  add_cluster_option(links, o->cluster);
  links.add_option("--node", o->node, "Only those of this node");
  const auto query = [&cli, o] { return o->node.empty() ? "" : "?node_id=" + cli.node(o->node); };
  links.callback([&cli, o, query] {
    json::array items = cli.api().list(base(cli, o) + "/mesh-links" + query());
    cli.list(wants_json(cli) ? std::move(items) : link_rows(std::move(items)), kLinkColumns);
  });
  CLI::App& events = add_command(mesh, "events", "Links that went up or down, newest first",
                                 "  rapctl mesh events --node relay-1\n");
  add_cluster_option(events, o->cluster);
  events.add_option("--node", o->node, "Only of links of this node");
  events.callback([&cli, o, query] {
    cli.list(cli.api().list(base(cli, o) + "/mesh-link-events" + query(), 500), kEventColumns);
  });

  const auto asks = [&cli, o](CLI::App& command) {
    add_cluster_option(command, o->cluster);
    command.add_option("--to", o->to, "A node, a service (svc_..) or a pool (pool:NAME)")
        ->required();
    command.add_option("--organization", o->organization,
                       "Whose stream; the service's or the node's when missing");
    command.add_option("--class", o->channel_class, "interactive (as when missing) or bulk")
        ->check(CLI::IsMember({"interactive", "bulk"}));
  };
  CLI::App& routes = add_command(mesh, "routes", "The ways that entries would take, best first",
                                 "  rapctl mesh routes --to berlin-1\n"
                                 "  rapctl mesh routes --to pool:office --class bulk\n");
  asks(routes);
  routes.add_option("--from", o->from, "From this node instead of every entry");
  routes.callback([&cli, o] {
    const json::value answer = ask_routes(cli, o);
    if (wants_json(cli)) return cli.show(answer, {});
    cli.list(route_rows(answer), kRouteColumns);
  });
  CLI::App& why = add_command(mesh, "explain", "Why a way is taken: every term of its cost",
                              "  rapctl mesh explain --from entry-1 --to berlin-1\n");
  asks(why);
  why.add_option("--from", o->from, "The node that decides")->required();
  why.callback([&cli, o] {
    const json::value answer = ask_routes(cli, o);
    if (wants_json(cli)) return cli.show(answer, {});
    explain(cli, answer);
  });
}

// Reads, changes, and writes with the ETag that was read.
json::value write(Cli& cli, const std::string& method, const std::string& path,
                  const json::object& body) {
  ApiRequest request;
  request.method = method;
  request.path = path;
  request.body = json::serialize(body);
  try {
    request.if_match = cli.api().send({"GET", path, "", ""}).etag;
  } catch (const Failure& failure) {
    if (method != "PUT" || failure.code != Exit::not_found) throw;
  }
  return json::parse(cli.api().send(request).body);
}

void add_policy(CLI::App& mesh, Cli& cli, const Shared& o) {
  CLI::App& policy = add_command(mesh, "policy", "Weights, sizes and limits of the mesh",
                                 "  rapctl mesh policy show\n");
  policy.require_subcommand(1);
  CLI::App& show = add_command(policy, "show", "What was set, and every default",
                               "  rapctl mesh policy show -o json\n");
  add_cluster_option(show, o->cluster);
  show.callback([&cli, o] {
    cli.show(cli.api().get(base(cli, o) + "/mesh-policy"),
             {{"Set", "set"}, {"Changed", "updated_at"}, {"In force", "policy"}});
  });
  CLI::App& set = add_command(policy, "set", "Set it as a whole; what is absent has its default",
                              "  echo '{\"relays_max\":1}' | rapctl mesh policy set --file -\n");
  add_cluster_option(set, o->cluster);
  set.add_option("--file", o->file, "File with the policy in JSON, - for standard input")
      ->required();
  set.callback([&cli, o] {
    const auto text =
        o->file == "-"
            ? Result<std::string>(std::string(std::istreambuf_iterator<char>(std::cin), {}))
            : read_text_file(o->file, kPolicyFileMax);
    if (!text) throw Failure(Exit::usage, text.error().detail);
    auto value = parse_json(*text);
    if (!value) throw Failure(Exit::usage, o->file + ": " + value.error().detail);
    const json::value made =
        write(cli, "PUT", base(cli, o) + "/mesh-policy", {{"policy", std::move(*value)}});
    cli.done("set the mesh policy", made);
  });
}

void add_nodes(CLI::App& mesh, Cli& cli, const Shared& o) {
  CLI::App& node = add_command(mesh, "node", "What the owner wants of a node in the mesh",
                               "  rapctl mesh node show relay-1\n");
  node.require_subcommand(1);
  CLI::App& show = add_command(node, "show", "Intents, keys, and what other nodes are told",
                               "  rapctl mesh node show relay-1 -o json\n");
  show.add_option("node", o->node, "Name or id")->required();
  show.callback([&cli, o] {
    const json::value item = cli.api().get("/v1/nodes/" + cli.node(o->node) + "/mesh");
    cli.show(item, kNodeDetails);
    if (!wants_json(cli)) cli.list(item.as_object().at("keys").as_array(), kKeyColumns);
  });
  CLI::App& set = add_command(node, "set", "Avoid a node, drain it, trust it less, say where it is",
                              "  rapctl mesh node set relay-1 --avoid 300\n"
                              "  rapctl mesh node set relay-1 --drain\n");
  set.add_option("node", o->node, "Name or id")->required();
  auto* avoid = set.add_option("--avoid", o->avoid, "0 to 1000, in ms of round trip")
                    ->check(CLI::Range(0, 1000));
  auto* trust =
      set.add_option("--trust", o->trust, "quarantined (not in the mesh), low, normal, high");
  auto* region = set.add_option("--region", o->region, "Its region; empty: the cluster's");
  auto* drain = set.add_flag("--drain", o->drain, "Nothing new goes over it");
  set.add_flag("--no-drain", o->undrain, "Use it again")->excludes(drain);
  set.callback([&cli, o, avoid, trust, region] {
    json::object body;
    if (*avoid) body["avoid"] = o->avoid;
    if (*trust) body["trust"] = o->trust;
    if (*region) body["region"] = o->region.empty() ? json::value(nullptr) : json::value(o->region);
    if (o->drain || o->undrain) body["draining"] = o->drain;
    const json::value made = write(cli, "PATCH", "/v1/nodes/" + cli.node(o->node) + "/mesh", body);
    cli.done("changed " + o->node + " in the mesh", made);
  });
}

json::array pool_rows(json::array items) {
  for (json::value& item : items) {
    json::object& pool = item.as_object();
    std::string who;
    for (const json::value& member : pool.at("members").as_array()) {
      who += (who.empty() ? "" : ", ") + text_at(member, "name") + " (" + text_at(member, "state") +
             ")";
    }
    pool["who"] = who;
    pool["whom"] =
        pool.at("everybody").as_bool() ? "everybody" : joined(pool.if_contains("organizations"));
  }
  return items;
}

json::object pool_body(Cli& cli, const Shared& o) {
  json::array members, organizations;
  for (const std::string& member : o->members) members.emplace_back(cli.node(member));
  for (const std::string& one : o->organizations) organizations.emplace_back(cli.organization(one));
  return {{"everybody", o->everybody},
          {"members", std::move(members)},
          {"organizations", std::move(organizations)}};
}

void add_pools(CLI::App& mesh, Cli& cli, const Shared& o) {
  CLI::App& pool =
      add_command(mesh, "pool", "Egress pools: exits behind one name", "  rapctl mesh pool list\n");
  pool.require_subcommand(1);
  CLI::App& list = add_command(pool, "list", "List pools with their members",
                               "  rapctl mesh pool list -o json\n");
  add_cluster_option(list, o->cluster);
  list.callback([&cli, o] {
    json::array items = cli.api().list(base(cli, o) + "/egress-pools");
    cli.list(wants_json(cli) ? std::move(items) : pool_rows(std::move(items)), kPoolColumns);
  });
  const auto whom = [&cli, o](CLI::App& command) {
    add_cluster_option(command, o->cluster);
    command.add_option("name", o->name, "Name of the pool")->required();
    command.add_option("--member", o->members, "A node that is an exit; again for more");
    command.add_option("--organization", o->organizations, "Who may use it; again for more");
    command.add_flag("--everybody", o->everybody, "Every organization may");
  };
  CLI::App& create =
      add_command(pool, "create", "Make a pool",
                  "  rapctl mesh pool create office --member exit-1 --organization acme\n");
  whom(create);
  create.callback([&cli, o] {
    json::object body = pool_body(cli, o);
    body["name"] = o->name;
    const json::value made = cli.api().post(base(cli, o) + "/egress-pools", body);
    cli.done("created pool " + o->name + " (" + text_at(made, "id") + ")", made);
  });
  CLI::App& set =
      add_command(pool, "set", "Say anew who is in a pool and who may use it",
                  "  rapctl mesh pool set office --member exit-1 --member exit-2 --everybody\n");
  whom(set);
  const auto path = [&cli, o] {
    return "/v1/egress-pools/" + resolve(cli.api(), kPool, base(cli, o) + "/egress-pools", o->name);
  };
  set.callback([&cli, o, path] {
    const json::value made = write(cli, "PATCH", path(), pool_body(cli, o));
    cli.done("changed pool " + o->name, made);
  });
  CLI::App& remove = add_command(pool, "delete", "Delete a pool; its nodes stay",
                                 "  rapctl mesh pool delete office\n");
  add_cluster_option(remove, o->cluster);
  remove.add_option("name", o->name, "Name or id")->required();
  remove.callback([&cli, o, path] {
    cli.api().remove(path());
    cli.done("deleted pool " + o->name, nullptr);
  });
}

json::array rule_rows(json::array items) {
  const auto limit = [](const json::value& number) {
    return number.as_int64() == 0 ? "no limit" : std::to_string(number.as_int64());
  };
  for (json::value& item : items) {
    json::object& rule = item.as_object();
    const std::string where = joined(rule.if_contains("regions"));
    rule["where"] = where.empty() ? "anywhere" : where;
    rule["streams"] = limit(rule.at("streams_max"));
    rule["kbytes"] = limit(rule.at("kbytes_per_s"));
  }
  return items;
}

void add_rules(CLI::App& mesh, Cli& cli, const Shared& o) {
  CLI::App& rule =
      add_command(mesh, "organization", "Where an organization's streams may go, and how much",
                  "  rapctl mesh organization list\n");
  rule.require_subcommand(1);
  CLI::App& list = add_command(rule, "list", "Organizations with rules of their own",
                               "  rapctl mesh organization list\n");
  add_cluster_option(list, o->cluster);
  list.callback([&cli, o] {
    json::array items = cli.api().list(base(cli, o) + "/mesh-organizations");
    cli.list(wants_json(cli) ? std::move(items) : rule_rows(std::move(items)), kRuleColumns);
  });
  const auto path = [&cli, o] {
    return base(cli, o) + "/mesh-organizations/" + cli.organization(o->organization);
  };
  CLI::App& set =
      add_command(rule, "set", "Set its rules as a whole; what is absent is not limited",
                  "  rapctl mesh organization set acme --region eu-1 --own-relays --streams 500\n");
  add_cluster_option(set, o->cluster);
  set.add_option("organization", o->organization, "Slug or id")->required();
  set.add_option("--region", o->regions, "Relays and destinations only there; again for more");
  set.add_option("--trust", o->trust, "Least trust: low, normal, high");
  set.add_option("--relays", o->relays, "At most so many relays, 0 to 3")->check(CLI::Range(0, 3));
  set.add_flag("--own-relays", o->own_relays, "Only relays of its own");
  set.add_option("--streams", o->streams, "At each entry and relay; 0: no limit");
  set.add_option("--kbytes", o->kbytes, "Per second at each entry and relay; 0: no limit");
  set.callback([&cli, o, path] {
    json::object body{{"regions", json::array(o->regions.begin(), o->regions.end())},
                      {"relays_max", o->relays},
                      {"own_relays_only", o->own_relays},
                      {"streams_max", o->streams},
                      {"kbytes_per_s", o->kbytes}};
    if (!o->trust.empty()) body["trust_min"] = o->trust;
    cli.done("set the rules of " + o->organization, write(cli, "PUT", path(), body));
  });
  CLI::App& remove = add_command(rule, "remove", "Let the cluster's policy alone hold",
                                 "  rapctl mesh organization remove acme\n");
  add_cluster_option(remove, o->cluster);
  remove.add_option("organization", o->organization, "Slug or id")->required();
  remove.callback([&cli, o, path] {
    cli.api().remove(path());
    cli.done("removed the rules of " + o->organization, nullptr);
  });
}

}  // namespace

void add_mesh_commands(CLI::App& app, Cli& cli) {
  CLI::App& mesh = add_command(app, "mesh", "How nodes reach each other",
                               "  rapctl mesh links\n  rapctl mesh routes --to berlin-1\n"
                               "  rapctl mesh trace --to berlin-1\n");
  mesh.require_subcommand(1);
  const Shared o = std::make_shared<Options>();
  add_looking(mesh, cli, o);
  add_mesh_trace(mesh, cli);
  add_policy(mesh, cli, o);
  add_nodes(mesh, cli, o);
  add_pools(mesh, cli, o);
  add_rules(mesh, cli, o);
}

}  // namespace rap::cli
