// What nodes report of their links, for owners: the newest of each end, and ups and downs.
#include <boost/json.hpp>

#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/mesh/routes.hpp"
#include "controlplane/nodes/presence.hpp"

namespace rap::cp {
namespace {

constexpr const char* kClusterExists = "select 1 as one from clusters where id = $1";
// One row for each end that says something; the key sorts reports by node, so that a page starts at
// its first node. What the other end says of the same link stands beside it: they differ when
// one direction is cut.
constexpr const char* kLinks = R"sql(
  select r.node_id || '_' || (l ->> 'peer') as key, r.node_id, n.name as node_name,
         l ->> 'peer' as peer_id, p.name as peer_name, r.received_at, l::text as link,
         far.up as far_up, far.received_at as far_received_at
  from mesh_reports r
  cross join lateral jsonb_array_elements(r.links) as l
  join nodes n on n.id = r.node_id
  join nodes p on p.id = l ->> 'peer'
  left join lateral (
    select (f ->> 'up')::boolean as up, o.received_at
    from mesh_reports o cross join lateral jsonb_array_elements(o.links) as f
    where o.node_id = l ->> 'peer' and f ->> 'peer' = r.node_id limit 1) far on true
  where r.cluster_id = $1 and r.node_id >= left($2, 30)
    and r.node_id || '_' || (l ->> 'peer') > $2
    and ($3 = '' or r.node_id = $3 or l ->> 'peer' = $3)
  order by r.node_id || '_' || (l ->> 'peer') collate "C" limit $4
)sql";
constexpr const char* kEvents = R"sql(
  select e.id, e.node_id, n.name as node_name, e.peer_id, p.name as peer_name, e.state, e.since,
         e.received_at
  from mesh_link_events e
  join nodes n on n.id = e.node_id join nodes p on p.id = e.peer_id
  where e.cluster_id = $1 and ($2 = '' or e.id < $2)
    and ($3 = '' or e.node_id = $3 or e.peer_id = $3)
  order by e.id desc limit $4
)sql";

std::int64_t age_s(SystemTime then, SystemTime now) {
  return std::max<std::int64_t>(0, std::chrono::floor<std::chrono::seconds>(now - then).count());
}

SystemTime from_ms(const boost::json::value& ms) {
  return SystemTime(std::chrono::milliseconds(ms.as_int64()));
}

// A node that fell silent may have lost everything or nothing: what it said is unknown now.
std::string state(bool up, SystemTime reported, SystemTime now) {
  if (now - reported > kReportFresh) return "unknown";
  return up ? "up" : "down";
}

boost::json::object link_json(const Row& row, SystemTime now) {
  boost::json::object out;
  for (const char* key : {"node_id", "node_name", "peer_id", "peer_name"}) {
    out[key] = row.text(key);
  }
  const boost::json::object link = row.json("link").as_object();
  const SystemTime reported = row.time("received_at");
  out["state"] = state(link.at("up").as_bool(), reported, now);
  out["far_state"] = "unknown";
  if (const auto far = row.time_or_none("far_received_at")) {
    out["far_state"] = state(row.boolean("far_up"), *far, now);
  }
  out["since"] = to_rfc3339(from_ms(link.at("since")));
  for (const char* key : {"rtt_us", "loss_permille", "kbps"}) {
    const auto* figure = link.if_contains(key);
    out[key] = figure == nullptr ? boost::json::value(nullptr) : *figure;
  }
  out["measured_age_s"] = age_s(from_ms(link.at("at")), now);
  out["reported_age_s"] = age_s(reported, now);
  return out;
}

boost::json::object event_json(const Row& row) {
  boost::json::object out;
  for (const char* key : {"id", "node_id", "node_name", "peer_id", "peer_name", "state"}) {
    out[key] = row.text(key);
  }
  out["since"] = to_rfc3339(row.time("since"));
  out["received_at"] = to_rfc3339(row.time("received_at"));
  return out;
}

struct Asked {
  ClusterId cluster;
  std::string node;  // empty: any
};
Asked asked(const Call& call, Tx& tx) {
  Asked out{call.path_id<ClusterId>("id"), {}};
  if (tx.query(kClusterExists, {out.cluster}).empty()) refuse_not_found();
  if (const auto node = call.query("node_id")) out.node = require(NodeId::parse(*node)).str();
  return out;
}

Reply links(const Call& call, Tx& tx) {
  const Asked what = asked(call, tx);
  const Page page = page_of(call);
  return page_reply(
      page, tx.query(kLinks, {what.cluster, page.after, what.node, page.fetch()}),
      [&](const Row& row) { return link_json(row, call.now); }, "key");
}

Reply events(const Call& call, Tx& tx) {
  const Asked what = asked(call, tx);
  const Page page = page_of(call);
  return page_reply(page, tx.query(kEvents, {what.cluster, page.after, what.node, page.fetch()}),
                    event_json);
}

}  // namespace

void add_mesh_link_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/clusters/{id}/mesh-links",
                    Who::owner,
                    "Links as each end reported them last",
                    {{200, "MeshLinkList"}, 404},
                    links,
                    {},
                    {"limit", "cursor", "node_id"}});
  routes.push_back({"GET",
                    "/v1/clusters/{id}/mesh-link-events",
                    Who::owner,
                    "Links that went up or down in the last seven days, newest first",
                    {{200, "MeshLinkEventList"}, 404},
                    events,
                    {},
                    {"limit", "cursor", "node_id"}});
}

}  // namespace rap::cp
