// Which way a stream would take, and why: the routing engine of the nodes over what the control
// plane knows. For owners: it names nodes.
#include <array>
#include <map>

#include <boost/json.hpp>

#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/mesh/names.hpp"
#include "controlplane/mesh/report_rules.hpp"
#include "controlplane/mesh/routes.hpp"
#include "controlplane/mesh/view.hpp"
#include "fabric/routing/engine.hpp"
#include "fabric/routing/score.hpp"

namespace rap::cp {
namespace {

using routing::Directory;
using routing::Measurements;
using routing::MonoTime;
using routing::NodeIndex;

constexpr std::size_t kPathsShown = 5;
// Without a start: so many entries. More tell nothing new.
constexpr std::size_t kOriginsMax = 16;

constexpr const char* kClusterExists = "select 1 as one from clusters where id = $1";
constexpr const char* kNames = R"sql(
  select n.id, n.name from nodes n join cluster_memberships m on m.node_id = n.id
  where m.cluster_id = $1
)sql";
constexpr const char* kReports = R"sql(
  select node_id, received_at, load_permille, links from mesh_reports where cluster_id = $1
)sql";

// Ages are what counts: any fixed time serves as now.
constexpr MonoTime kMonoNow{std::chrono::hours(24 * 400)};

struct Asked {
  ClusterId cluster;
  std::string from, to, organization;
  routing::TargetKind kind = routing::TargetKind::node;
  routing::ChannelClass channel_class = routing::ChannelClass::interactive;
};

Asked asked(const Call& call, Tx& tx) {
  Asked out{call.path_id<ClusterId>("id"), {}, {}, {}};
  if (tx.query(kClusterExists, {out.cluster}).empty()) refuse_not_found();
  out.to = call.query("to").value_or("");
  if (NodeId::parse(out.to)) {
    out.kind = routing::TargetKind::node;
  } else if (MeshServiceId::parse(out.to)) {
    out.kind = routing::TargetKind::service;
  } else if (is_directory_name(out.to)) {
    out.kind = routing::TargetKind::egress_pool;
  } else {
    refuse(Errc::invalid, "to: a node, a service or the name of an egress pool");
  }
  if (const auto from = call.query("from")) out.from = require(NodeId::parse(*from)).str();
  if (const auto organization = call.query("organization_id")) {
    out.organization = require(OrganizationId::parse(*organization)).str();
  }
  const std::string channel_class = call.query("class").value_or("interactive");
  if (channel_class == "bulk") out.channel_class = routing::ChannelClass::bulk;
  return out;
}

// Everything in one directory: an owner asks what is so, not what one node was told.
Directory whole_directory(const MeshView& view, const std::string& self, SystemTime now) {
  routing::DirectoryDoc doc;
  doc.cluster_id = view.cluster_id;
  doc.node_id = self;
  doc.authority = view.authority;
  doc.authority_term = view.authority_term;
  doc.version = to_unix_seconds(now);
  doc.issued_at = std::chrono::floor<std::chrono::seconds>(now);
  doc.expires_at = doc.issued_at + std::chrono::hours(1);
  for (const MeshNode& node : view.nodes) {
    routing::NodeEntry entry = node.entry;
    std::erase_if(entry.attached, [&](const std::string& id) {
      return id == entry.node_id || view.find(id) == nullptr;
    });
    for (const MeshService& service : node.services) {
      if (doc.services.size() == routing::kGroupsMax) break;
      doc.services.push_back({service.id, {entry.node_id}, {{service.organization}}});
    }
    doc.nodes.push_back(std::move(entry));
  }
  doc.egress_pools = view.pools;
  doc.policy = view.policy;
  return require(Directory::compile(std::move(doc)));
}

struct Told {
  std::string node;
  SystemTime received{};
  std::optional<std::int64_t> load;
  std::vector<ReportedLink> links;
};

std::vector<Told> read_reports(Tx& tx, const ClusterId& cluster) {
  std::vector<Told> out;
  for (const Row& row : tx.query(kReports, {cluster})) {
    out.push_back({row.text("node_id"), row.time("received_at"),
                   row.integer_or_none("load_permille"),
                   links_from_json(row.json("links").as_array())});
  }
  return out;
}

MonoTime mono(SystemTime then, SystemTime now) {
  const auto age = std::chrono::floor<std::chrono::milliseconds>(now - then);
  return kMonoNow - std::max(age, MonoTime(0));
}

std::optional<float> ms(const std::optional<std::int64_t>& us) {
  if (!us) return std::nullopt;
  return static_cast<float>(*us) / 1000;
}
std::optional<float> plain(const std::optional<std::int64_t>& value) {
  if (!value) return std::nullopt;
  return static_cast<float>(*value);
}

// The origin's own links as it measured them, everybody else's as they were told.
Measurements measurements(const Directory& directory, const std::vector<Told>& reports,
                          NodeIndex origin, SystemTime now) {
  const routing::Decay& decay = directory.policy().decay;
  Measurements out;
  for (const Told& report : reports) {
    const NodeIndex from = directory.find(report.node);
    if (from == routing::kNoNode) continue;
    if (report.load) {
      (void)out.told_load(from, static_cast<std::uint16_t>(*report.load),
                          mono(report.received, now));
    }
    for (const ReportedLink& link : report.links) {
      const NodeIndex peer = directory.find(link.peer);
      if (peer == routing::kNoNode) continue;
      const MonoTime at = mono(link.measured, now);
      if (from == origin) {
        const auto sample = [&](const std::optional<float>& value) {
          return value ? routing::Sample{*value, at} : routing::Sample{};
        };
        routing::OwnLink own;
        own.state = link.up ? routing::LinkState::up : routing::LinkState::down;
        // What it said before it fell silent is unknown now.
        if (now - report.received > std::chrono::milliseconds(decay.own_stale_ms)) {
          own.state = routing::LinkState::unknown;
        }
        own.state_since = mono(link.since, now);
        own.rtt_ms = sample(ms(link.rtt_us));
        own.loss_permille = sample(plain(link.loss_permille));
        own.kbps = sample(plain(link.kbps));
        out.put_own(peer, own);
        continue;
      }
      // Both ends tell; the newer word stands, the older is refused as such.
      routing::Report told{ms(link.rtt_us), plain(link.loss_permille), plain(link.kbps),
                           link.up ? routing::LinkState::up : routing::LinkState::down};
      (void)out.told(from, peer, told, mono(report.received, now), kMonoNow, decay);
    }
  }
  return out;
}

// A decision in JSON, with names.
class Shown {
 public:
  Shown(const Directory& directory, const Measurements& known, const routing::Request& request,
        const std::map<std::string, std::string>& names)
      : directory_(directory), known_(known), request_(request), names_(names) {}

  boost::json::object decide(SystemTime now) const {
    const routing::Moment moment{kMonoNow, now};
    std::array<routing::Candidate, kPathsShown> paths;
    const routing::Decision decision = routing::decide(directory_, known_, request_, moment, paths);
    boost::json::object out;
    out["from"] = node(request_.origin);
    out["choice"] = std::string(routing::name(decision.choice));
    out["reason"] = nullptr;
    if (decision.count == 0) {
      out["reason"] = routing::explain_none(directory_, request_, decision);
    }
    boost::json::array candidates;
    for (std::size_t i = 0; i < decision.count; ++i) candidates.push_back(path(paths[i], moment));
    out["paths"] = std::move(candidates);
    boost::json::array removed;
    for (std::size_t i = 1; i < routing::kRules; ++i) {
      const routing::Removed& by = decision.removed[i];
      if (by.count == 0) continue;
      boost::json::object item;
      item["rule"] = std::string(routing::name(static_cast<routing::Rule>(i)));
      item["sentence"] = std::string(routing::sentence(static_cast<routing::Rule>(i)));
      item["count"] = by.count;
      item["node"] = node(by.a);
      item["peer"] = node(by.b);
      removed.push_back(std::move(item));
    }
    out["removed"] = std::move(removed);
    return out;
  }

 private:
  boost::json::value node(NodeIndex index) const {
    if (index == routing::kNoNode) return nullptr;
    const std::string id(directory_.id(index));
    const auto found = names_.find(id);
    boost::json::object out;
    out["id"] = id;
    out["name"] = found == names_.end() ? id : found->second;
    return out;
  }

  boost::json::object path(const routing::Candidate& candidate, routing::Moment now) const {
    boost::json::array nodes, terms;
    for (const NodeIndex index : candidate.path.view()) nodes.push_back(node(index));
    const routing::Scorer scorer(directory_, known_, request_.channel_class, request_.origin, now);
    std::array<routing::TermValue, routing::kTermsMax> values;
    const std::size_t count = scorer.explain(candidate.path, values);
    for (std::size_t i = 0; i < count; ++i) terms.push_back(term(values[i]));
    boost::json::object out;
    out["nodes"] = std::move(nodes);
    out["cost_ms"] = rounded(candidate.cost);
    out["terms"] = std::move(terms);
    return out;
  }

  boost::json::object term(const routing::TermValue& value) const {
    boost::json::object out;
    out["term"] = std::string(routing::name(value.term));
    out["unit"] = std::string(routing::unit(value.term));
    out["node"] = node(value.a);
    out["peer"] = node(value.b);
    out["known"] = value.known;
    out["raw"] = value.known ? boost::json::value(rounded(value.raw)) : nullptr;
    out["confidence"] = rounded(value.known ? value.confidence : 0);
    out["weight"] = rounded(value.weight * 100);
    out["cost_ms"] = rounded(value.contribution);
    return out;
  }

  // Thousandths as a text of their own would be no number; three digits tell enough.
  static double rounded(float value) {
    return static_cast<double>(static_cast<std::int64_t>(value * 1000 + 0.5F)) / 1000;
  }

  const Directory& directory_;
  const Measurements& known_;
  const routing::Request& request_;
  const std::map<std::string, std::string>& names_;
};

std::vector<std::string> origins(const MeshView& view, const Asked& what) {
  if (!what.from.empty()) {
    if (view.find(what.from) == nullptr) {
      refuse(Errc::conflict, "the node to start from has no place in the mesh now");
    }
    return {what.from};
  }
  std::vector<std::string> out;
  for (const MeshNode& node : view.nodes) {
    if (node.is(routing::Role::entry_node) && out.size() < kOriginsMax) {
      out.push_back(node.entry.node_id);
    }
  }
  if (out.empty()) refuse(Errc::conflict, "the cluster has no entry in its mesh; give from");
  return out;
}

// Whose stream it would be, when nobody says: of the service's organization, or of the node's
// owner.
std::string organization_of(const MeshView& view, const Asked& what) {
  if (!what.organization.empty()) return what.organization;
  for (const MeshNode& node : view.nodes) {
    if (what.kind == routing::TargetKind::node && node.entry.node_id == what.to) {
      return node.entry.owner;
    }
    for (const MeshService& service : node.services) {
      if (service.id == what.to) return service.organization;
    }
  }
  return {};
}

Reply routes_to(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  const Asked what = asked(call, tx);
  const MeshView view = load_mesh(tx, what.cluster, call.now);
  const std::vector<std::string> starts = origins(view, what);
  const std::vector<Told> reports = read_reports(tx, what.cluster);
  std::map<std::string, std::string> names;
  for (const Row& row : tx.query(kNames, {what.cluster})) names[row.text("id")] = row.text("name");
  const Directory directory = whole_directory(view, starts[0], call.now);
  const std::string organization = organization_of(view, what);
  boost::json::array items;
  for (const std::string& start : starts) {
    routing::Request request;
    request.cluster_id = view.cluster_id;
    request.origin = directory.find(start);
    request.kind = what.kind;
    request.target = what.to;
    request.organization = organization;
    request.channel_class = what.channel_class;
    const Measurements known = measurements(directory, reports, request.origin, call.now);
    items.push_back(Shown(directory, known, request, names).decide(call.now));
  }
  boost::json::object body;
  body["to"] = what.to;
  body["kind"] = std::string(routing::name(what.kind));
  body["class"] = std::string(routing::name(what.channel_class));
  body["organization_id"] = nullptr;
  if (!organization.empty()) body["organization_id"] = organization;
  body["decided_at"] = to_rfc3339(call.now);
  body["routes"] = std::move(items);
  return json_reply(200, body);
}

}  // namespace

void add_mesh_explain_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/clusters/{id}/mesh-routes",
                    Who::owner,
                    "Which way a stream would take from a node, or from each entry, and why",
                    {{200, "MeshRoutes"}, 404, 409},
                    routes_to,
                    {},
                    {"to", "from", "organization_id", {"class", "interactive|bulk"}}});
}

}  // namespace rap::cp
