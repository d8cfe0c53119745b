// POST /v1/node/mesh-report: what a node knows of its own links, and how it is reached.
#include <algorithm>
#include <set>

#include <boost/json.hpp>

#include "controlplane/http/services.hpp"
#include "controlplane/mesh/report_rules.hpp"
#include "controlplane/mesh/rounds.hpp"
#include "controlplane/mesh/routes.hpp"

namespace rap::cp {
namespace {

// What nodes are asked for when nothing changes. With 1,000 nodes 67 rows a second.
constexpr std::int64_t kIntervalMs = 15'000;
// A link that flaps, or a node in a thief's hands, must not fill the table: what is above is
// counted and not kept; the latest state is.
constexpr std::chrono::minutes kPeriod{10};
constexpr std::int64_t kEventsOfNodeMax = 600;

// Links are telemetry: the next report says the same.
constexpr const char* kNoWait = "select set_config('synchronous_commit', 'off', true)";
constexpr const char* kStored = R"sql(
  select boot_id, previous_boot_id, seq, endpoints, attached, told_load, draining, links
  from mesh_reports where node_id = $1 for update
)sql";
// Two at once of a node that has none yet: one of them waits for the other here.
constexpr const char* kFirst = R"sql(
  insert into mesh_reports (node_id, cluster_id, boot_id, seq, received_at)
  values ($1, $2, '', 0, $3) on conflict (node_id) do nothing
)sql";
constexpr const char* kStore = R"sql(
  update mesh_reports set cluster_id = $2, boot_id = $3, previous_boot_id = $4, seq = $5,
    received_at = $6, endpoints = $7, attached = $8, load_permille = $9, told_load = $10,
    draining = $11, links = $12
  where node_id = $1
)sql";
constexpr const char* kNodes = R"sql(
  select node_id from cluster_memberships
  where cluster_id = $1 and node_id = any ($2::text[]) and membership_status <> 'revoked'
)sql";
constexpr const char* kLately = R"sql(
  select count(*) as events from mesh_link_events where node_id = $1 and received_at > $2
)sql";
constexpr const char* kEvents = R"sql(
  insert into mesh_link_events (id, cluster_id, node_id, peer_id, state, since, received_at)
  select id, $5, $6, peer, state, since, $7
  from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) as u (id, peer, state, since)
)sql";

std::string list_text(const std::vector<std::string>& texts) {
  return boost::json::serialize(boost::json::array(texts.begin(), texts.end()));
}

// Peers and relays that are nodes of the cluster; the others were revoked, or never were.
std::int64_t forget_strangers(const Call& call, Tx& tx, MeshReport& report) {
  std::vector<std::string> named = report.attached;
  for (const ReportedLink& link : report.links) named.push_back(link.peer);
  if (named.empty()) return 0;
  std::set<std::string> known;
  for (const Row& row : tx.query(kNodes, {call.node.cluster, named})) {
    known.insert(row.text("node_id"));
  }
  const auto stranger = [&](const std::string& id) { return !known.contains(id); };
  const auto attached = std::erase_if(report.attached, stranger);
  const auto links =
      std::erase_if(report.links, [&](const ReportedLink& link) { return stranger(link.peer); });
  return static_cast<std::int64_t>(attached + links);
}

std::int64_t store_events(const Call& call, Tx& tx, const std::vector<LinkChange>& changes) {
  if (changes.empty()) return 0;
  const std::int64_t lately =
      tx.query(kLately, {call.node.id, SystemTime(call.now - kPeriod)})[0].integer("events");
  std::vector<std::string> ids, peers, states, times;
  for (const LinkChange& change : changes) {
    if (lately + static_cast<std::int64_t>(ids.size()) >= kEventsOfNodeMax) break;
    ids.push_back(new_id_text("mle_"));
    peers.push_back(change.peer);
    states.push_back(change.up ? "up" : "down");
    times.push_back(*Param(change.since).text);
  }
  if (!ids.empty()) {
    tx.query(kEvents, {ids, peers, states, times, call.node.cluster, call.node.id, call.now});
  }
  return static_cast<std::int64_t>(changes.size() - ids.size());
}

Reply answer(bool taken, std::int64_t ignored) {
  boost::json::object body;
  body["taken"] = taken;
  body["ignored"] = ignored;
  body["interval_ms"] = kIntervalMs;
  return json_reply(200, body);
}

Reply report(const Call& call, Tx& tx) {
  MeshReport said = require(parse_mesh_report(*call.body, call.node.id.str(), call.now));
  tx.query(kNoWait);
  tx.enter(Scope::platform());
  tx.query(kFirst, {call.node.id, call.node.cluster, call.now});
  const Row stored = tx.query(kStored, {call.node.id})[0];
  const ReportOrder order{stored.text("boot_id"), stored.text("previous_boot_id"),
                          stored.integer("seq")};
  if (!is_newer(said, order)) return answer(false, 0);
  std::int64_t ignored = forget_strangers(call, tx, said);
  const auto before = links_from_json(stored.json("links").as_array());
  ignored += store_events(call, tx, link_changes(before, said.links, call.now));
  const auto told = stored.integer_or_none("told_load");
  const auto tell = load_to_tell(told, said.load_permille);
  const std::string endpoints = list_text(said.endpoints), attached = list_text(said.attached);
  const bool moved = boost::json::parse(endpoints) != stored.json("endpoints") ||
                     boost::json::parse(attached) != stored.json("attached") ||
                     said.draining != stored.boolean("draining");
  tx.query(kStore, {call.node.id, call.node.cluster, said.boot_id,
                    said.boot_id == order.boot_id ? order.previous_boot_id : order.boot_id,
                    said.seq, call.now, endpoints, attached, said.load_permille, tell,
                    said.draining, boost::json::serialize(links_to_json(said.links))});
  if (moved || tell != told) {
    mesh_changed(tx, call.node.cluster, moved ? Urgency::now : Urgency::soon, call.now);
  }
  return answer(true, ignored);
}

}  // namespace

void add_mesh_report_routes(std::vector<Route>& routes) {
  routes.push_back(
      {"POST",
       "/v1/node/mesh-report",
       Who::node,
       "What the node knows of its links; the newest of a boot counts, in any order of arrival",
       {{200, "MeshReportAnswer"}},
       report,
       {text_field("boot_id", 1, 100),
        {"seq", FieldType::integer, Need::required, 1, (std::int64_t{1} << 53) - 1},
        {"endpoints", FieldType::texts, Need::optional, 0, kReportEndpointsMax},
        {"attached", FieldType::texts, Need::optional, 0, kReportAttachedMax},
        {"load_permille", FieldType::integer, Need::optional, 0, 1000},
        {"draining", FieldType::boolean, Need::optional},
        {"links", FieldType::objects, Need::optional, 0, kReportLinksMax}}});
}

}  // namespace rap::cp
