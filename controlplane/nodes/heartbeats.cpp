#include "controlplane/nodes/heartbeats.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "base/log.hpp"
#include "controlplane/nodes/capabilities.hpp"

namespace rap::cp {
namespace {

// dependencies.md 6.1: from 100 to 1000 rows there is nothing to gain.
constexpr std::size_t kBatchRows = 250;
constexpr std::chrono::milliseconds kBatchTime{75};
// With PostgreSQL away: one heartbeat of each of this many nodes is kept, about 100 MB.
constexpr std::size_t kWaitingMax = 20'000;

// Telemetry need not survive a power cut; everything else waits for the disk.
constexpr const char* kNoWait = "select set_config('synchronous_commit', 'off', true)";

// Log and latest state in one statement: each value is sent and parsed once, which is a third of
// what PostgreSQL has to do for a heartbeat.
constexpr const char* kStore = R"sql(
  with h as materialized (
    select node_id, cluster_id, boot_id, sent_at, received_at, agent_version, mesh_endpoint,
           director_version, payload::jsonb as payload
    from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[],
                $6::text[], $7::text[], $8::bigint[], $9::text[])
      as u (node_id, cluster_id, boot_id, sent_at, received_at, agent_version, mesh_endpoint,
            director_version, payload)
  ), logged as (
    insert into node_heartbeats (received_at, node_id, cluster_id, boot_id, sent_at, payload)
    select received_at, node_id, cluster_id, boot_id, sent_at, payload from h
  )
  insert into node_heartbeat_latest
    (node_id, cluster_id, boot_id, sent_at, received_at, agent_version, mesh_endpoint,
     director_version, payload)
  select node_id, cluster_id, boot_id, sent_at, received_at, agent_version, mesh_endpoint,
         director_version, payload
  from h
  on conflict (node_id) do update set
    cluster_id = excluded.cluster_id, boot_id = excluded.boot_id, sent_at = excluded.sent_at,
    received_at = excluded.received_at, agent_version = excluded.agent_version,
    mesh_endpoint = excluded.mesh_endpoint, director_version = excluded.director_version,
    payload = excluded.payload
  where node_heartbeat_latest.received_at <= excluded.received_at
    -- of a clock that was ahead; replicas differ by seconds
    or node_heartbeat_latest.received_at > excluded.received_at + interval '1 minute'
  returning node_id
)sql";

// Only for assignments that are this node's; anything else a node invents is ignored.
constexpr const char* kWorkloads = R"sql(
  insert into node_service_instances
    (service_instance_id, cluster_id, node_id, service_type, desired_state, reported_state, detail,
     version, pid, last_heartbeat_at)
  select a.id, a.cluster_id, a.node_id, a.role,
         case when a.status = 'active' then 'running' else 'stopped' end, w.state, w.detail,
         w.version, nullif(w.pid, -1), w.at
  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[],
              $7::timestamptz[]) as w (node_id, assignment_id, state, detail, version, pid, at)
  join node_role_assignments a on a.id = w.assignment_id and a.node_id = w.node_id
  on conflict (service_instance_id) do update set
    desired_state = excluded.desired_state, reported_state = excluded.reported_state,
    detail = excluded.detail, version = excluded.version, pid = excluded.pid,
    last_heartbeat_at = excluded.last_heartbeat_at
)sql";

// What ended is over: instances that the node's newest report no longer has.
constexpr const char* kForgetWorkloads = R"sql(
  delete from node_service_instances
  where node_id = any ($1::text[]) and not (service_instance_id = any ($2::text[]))
)sql";

// A session that is wanted closed stays `closing` until its node says closed or failed; what is
// closed or failed stays so. An event of the node may have come to another server later than the
// heartbeat; the minute is that of kStore.
constexpr const char* kSessions = R"sql(
  update sessions s set
    state = case when s.state = 'closing' and r.state not in ('closed', 'failed') then s.state
                 else r.state end,
    detail = r.detail, controller = nullif(r.controller, ''), viewers = r.viewers,
    reported_at = r.at,
    updated_at = case when s.state is distinct from r.state then r.at else s.updated_at end,
    closed_at = case when r.state in ('closed', 'failed') then r.at end
  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[],
              $7::timestamptz[]) as r (node_id, session_id, state, detail, controller, viewers, at)
  where s.id = r.session_id and s.node_id = r.node_id and s.state not in ('closed', 'failed')
    and (s.reported_at is null or s.reported_at <= r.at
         or s.reported_at > r.at + interval '1 minute')
)sql";

std::string time_text(SystemTime time) {
  return *Param(time).text;
}

using Newest = std::vector<const Heartbeat*>;

void store_workloads(Tx& tx, const Newest& batch) {
  std::vector<std::string> nodes, all_nodes, ids, states, details, versions, pids, times;
  for (const Heartbeat* heartbeat : batch) {
    const Heartbeat& h = *heartbeat;
    all_nodes.push_back(h.node_id);
    for (const WorkloadReport& w : h.workloads) {
      if (std::find(ids.begin(), ids.end(), w.assignment_id) != ids.end()) continue;
      nodes.push_back(h.node_id);
      ids.push_back(w.assignment_id);
      states.push_back(w.state);
      details.push_back(w.detail);
      versions.push_back(w.version);
      pids.push_back(std::to_string(w.pid.value_or(-1)));
      times.push_back(time_text(h.received_at));
    }
  }
  if (!ids.empty()) tx.query(kWorkloads, {nodes, ids, states, details, versions, pids, times});
  tx.query(kForgetWorkloads, {all_nodes, ids});
}

void store_sessions(Tx& tx, const Newest& batch) {
  std::vector<std::string> nodes, ids, states, details, controllers, viewers, times;
  for (const Heartbeat* heartbeat : batch) {
    const Heartbeat& h = *heartbeat;
    for (const SessionReport& s : h.sessions) {
      nodes.push_back(h.node_id);
      ids.push_back(s.session_id);
      states.push_back(s.state);
      details.push_back(s.detail);
      controllers.push_back(s.controller.value_or(""));
      viewers.push_back(std::to_string(s.viewers));
      times.push_back(time_text(h.received_at));
    }
  }
  if (!ids.empty()) tx.query(kSessions, {nodes, ids, states, details, controllers, viewers, times});
}

std::vector<CapabilitiesOf> capabilities_of(const Newest& batch) {
  std::vector<CapabilitiesOf> out;
  for (const Heartbeat* h : batch) out.push_back({h->node_id, &h->capabilities});
  return out;
}

}  // namespace

void store_heartbeats(Tx& tx, const std::vector<Heartbeat>& batch) {
  std::vector<std::string> received, nodes, clusters, boots, sent, payloads, versions, endpoints,
      directors;
  for (const Heartbeat& h : batch) {
    received.push_back(time_text(h.received_at));
    nodes.push_back(h.node_id);
    clusters.push_back(h.cluster_id);
    boots.push_back(h.boot_id);
    sent.push_back(time_text(h.sent_at));
    payloads.push_back(h.payload);
    versions.push_back(h.agent_version);
    endpoints.push_back(h.mesh_endpoint);
    directors.push_back(std::to_string(h.director_version));
  }
  tx.query(kNoWait);
  tx.enter(Scope::platform());
  // The node's row is locked from here on, so of two servers the later one waits, and sees.
  std::set<std::string> accepted;
  for (const Row& row : tx.query(kStore, {nodes, clusters, boots, sent, received, versions,
                                          endpoints, directors, payloads})) {
    accepted.insert(row.text("node_id"));
  }
  Newest newest;
  for (const Heartbeat& h : batch) {
    if (accepted.contains(h.node_id)) newest.push_back(&h);
  }
  if (newest.empty()) return;
  store_workloads(tx, newest);
  store_sessions(tx, newest);
  store_capabilities(tx, capabilities_of(newest));
}

HeartbeatBatcher::HeartbeatBatcher(net::asio::any_io_executor executor, Database& database)
    : database_(database), due_(std::move(executor)) {}

// No machine boots with an id that it had before.
void HeartbeatBatcher::note_boot(const Heartbeat& heartbeat) {
  Boots& boots = boots_[heartbeat.node_id];
  if (boots.current == heartbeat.boot_id) return;
  if (boots.before == heartbeat.boot_id) {
    ++stats_.identity_conflicts;
    log::error("two machines use the identity of one node; revoke it and enroll both anew",
               {{"node", heartbeat.node_id}, {"endpoint", heartbeat.mesh_endpoint}});
  }
  boots.before = std::exchange(boots.current, heartbeat.boot_id);
}

void HeartbeatBatcher::add(Heartbeat heartbeat) {
  ++stats_.received;
  note_boot(heartbeat);
  if (waiting_.size() >= kWaitingMax && !waiting_.contains(heartbeat.node_id)) return;
  std::string node = heartbeat.node_id;
  waiting_[std::move(node)] = std::move(heartbeat);
  if (waiting_.size() >= kBatchRows) due_.set();
}

void HeartbeatBatcher::stop() {
  stopping_ = true;
  due_.set();
}

net::Task<void> HeartbeatBatcher::run() {
  while (!stopping_) {
    co_await due_.wait_for(kBatchTime);
    if (!stopping_) due_.reset();
    while (!waiting_.empty()) {
      const std::size_t before = waiting_.size();
      co_await flush();
      if (waiting_.size() >= before) break;  // the database is away: keep them for the next round
    }
  }
}

net::Task<void> HeartbeatBatcher::flush() {
  std::vector<Heartbeat> batch;
  while (!waiting_.empty() && batch.size() < kBatchRows) {
    batch.push_back(std::move(waiting_.extract(waiting_.begin()).mapped()));
  }
  Database::Work write = [&batch](Tx& tx) { store_heartbeats(tx, batch); };
  bool refused = false;
  try {
    co_await database_.run(std::move(write));
    ++stats_.batches;
    stats_.written += batch.size();
  } catch (const DatabaseUnavailable&) {
    ++stats_.failed_batches;
    // Back into the queue, unless something newer came meanwhile.
    for (Heartbeat& h : batch) {
      std::string node = h.node_id;
      waiting_.try_emplace(std::move(node), std::move(h));
    }
  } catch (const std::exception& error) {
    ++stats_.failed_batches;
    refused = true;
    log::error("heartbeats not written", {{"detail", error.what()}, {"rows", batch.size()}});
  }
  if (refused) co_await store_in_halves(std::move(batch));
}

// A heartbeat that PostgreSQL refuses must not take those of other nodes with it. Halves find one
// of 250 in 16 transactions.
net::Task<void> HeartbeatBatcher::store_in_halves(std::vector<Heartbeat> batch) {
  std::vector<std::vector<Heartbeat>> parts;
  const auto split = [&parts](std::vector<Heartbeat> whole) {
    const auto middle = whole.begin() + static_cast<std::ptrdiff_t>(whole.size() / 2);
    parts.emplace_back(std::move_iterator(middle), std::move_iterator(whole.end()));
    whole.erase(middle, whole.end());
    parts.push_back(std::move(whole));
  };
  if (batch.size() == 1) co_return;
  split(std::move(batch));
  while (!parts.empty()) {
    std::vector<Heartbeat> part = std::move(parts.back());
    parts.pop_back();
    Database::Work write = [&part](Tx& tx) { store_heartbeats(tx, part); };
    try {
      co_await database_.run(std::move(write));
      stats_.written += part.size();
      continue;
    } catch (const DatabaseUnavailable&) {
      co_return;  // the next heartbeats tell the same
    } catch (const std::exception& error) {
      if (part.size() == 1) {
        log::error("heartbeat dropped", {{"node", part.front().node_id}, {"detail", error.what()}});
        continue;
      }
    }
    split(std::move(part));
  }
}

}  // namespace rap::cp
