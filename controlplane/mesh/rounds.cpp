#include "controlplane/mesh/rounds.hpp"

#include <algorithm>
#include <map>

#include <boost/json.hpp>

#include "base/log.hpp"
#include "controlplane/mesh/scope.hpp"
#include "controlplane/mesh/view.hpp"

namespace rap::cp {
namespace {

// What can wait is told together with what comes in this time.
constexpr std::chrono::seconds kSoon{15};
constexpr std::chrono::seconds kAtLeast{60};
// Of a round that fails: another try after this time.
constexpr std::chrono::seconds kAgain{10};

constexpr const char* kChanged = R"sql(
  insert into mesh_clusters (cluster_id, due_at) values ($1, $2)
  on conflict (cluster_id) do update set due_at = least(mesh_clusters.due_at, excluded.due_at)
)sql";
// A change that is not committed yet holds the row, and has its turn two seconds later.
constexpr const char* kNext = R"sql(
  update mesh_clusters set due_at = $2 where cluster_id in
    (select cluster_id from mesh_clusters where due_at <= $1
     order by due_at limit 1 for update skip locked)
  returning cluster_id
)sql";
// One round of a cluster at a time: two servers may have taken one each.
constexpr const char* kOneAtATime =
    "select pg_advisory_xact_lock(hashtextextended($1, 7236113403))";
// Unless something was changed meanwhile. Certificates end without a change: everything is looked
// at again after a minute.
constexpr const char* kDone =
    "update mesh_clusters set due_at = $3 where cluster_id = $1 and due_at = $2";
constexpr const char* kRaise =
    "update mesh_clusters set generation = generation + 1 where cluster_id = $1";
constexpr const char* kTold = "select node_id, sha256 from mesh_directories where cluster_id = $1";
constexpr const char* kTell = R"sql(
  insert into mesh_directories (node_id, cluster_id, sha256)
  select node_id, $3, sha256::bytea from unnest($1::text[], $2::text[]) as u (node_id, sha256)
  on conflict (node_id) do update set cluster_id = excluded.cluster_id, sha256 = excluded.sha256
)sql";
constexpr const char* kForget = "delete from mesh_directories where node_id = any ($1::text[])";
// In the order of ids, as everything that locks several nodes.
constexpr const char* kWake = R"sql(
  with raised as (
    update nodes set desired_seq = desired_seq + 1
    where id in (select id from nodes where id = any ($1::text[]) order by id for update)
    returning id)
  select pg_notify('rap_desired', id) from raised
)sql";

}  // namespace

void mesh_changed(Tx& tx, const ClusterId& cluster, Urgency urgency, SystemTime now) {
  const SystemTime due = urgency == Urgency::now ? now : now + kSoon;
  tx.query(kChanged, {cluster, due});
}

std::optional<ClusterId> next_mesh_round(Tx& tx, SystemTime now) {
  const Rows rows = tx.query(kNext, {now, SystemTime(now + kAgain)});
  if (rows.empty()) return std::nullopt;
  auto cluster = ClusterId::parse(rows[0].text("cluster_id"));
  if (!cluster) throw DatabaseFault("mesh_clusters has an id that is none");
  return std::move(*cluster);
}

void run_mesh_round(Tx& tx, const ClusterId& cluster, SystemTime now) {
  tx.enter(Scope::platform());
  tx.query(kOneAtATime, {cluster});
  const MeshView view = load_mesh(tx, cluster, now);
  std::map<std::string, std::string> told;  // node -> hash as PostgreSQL writes it
  for (const Row& row : tx.query(kTold, {cluster})) {
    told.emplace(row.text("node_id"), row.text("sha256"));
  }
  std::vector<std::string> nodes, hashes, gone;
  for (std::uint32_t i = 0; i < view.nodes.size(); ++i) {
    const std::string& id = view.nodes[i].entry.node_id;
    std::string hash = "\\x" + to_hex(scope_hash(view, i));
    const auto before = told.find(id);
    const bool same = before != told.end() && before->second == hash;
    if (before != told.end()) told.erase(before);
    if (same) continue;
    nodes.push_back(id);
    hashes.push_back(std::move(hash));
  }
  for (const auto& [node, hash] : told) gone.push_back(node);
  if (!nodes.empty()) tx.query(kTell, {nodes, hashes, cluster});
  if (!gone.empty()) tx.query(kForget, {gone});
  std::vector<std::string> awake = nodes;
  awake.insert(awake.end(), gone.begin(), gone.end());
  if (!awake.empty()) {
    tx.query(kWake, {awake});
    tx.query(kRaise, {cluster});
  }
  tx.query(kDone, {cluster, SystemTime(now + kAgain), SystemTime(now + kAtLeast)});
  if (awake.empty()) return;
  log::info("mesh directories changed",
            {{"cluster", cluster.str()}, {"nodes", view.nodes.size()}, {"changed", awake.size()}});
}

}  // namespace rap::cp
