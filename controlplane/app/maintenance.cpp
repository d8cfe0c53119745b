#include "controlplane/app/maintenance.hpp"

#include <map>
#include <vector>

#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/http/idempotency.hpp"
#include "controlplane/nodes/presence.hpp"
#include "controlplane/sessions/rules.hpp"

namespace rap::cp {
namespace {

// The log is for looking back at an incident, not for statistics.
constexpr std::chrono::hours kHeartbeatsKept{7 * 24};
constexpr std::chrono::hours kOldTokensKept{24};
// An agent sends again within its longest pause of half a minute; the audit chain keeps the event.
constexpr std::chrono::hours kNodeEventsKept{7 * 24};
// To see on Monday what flapped at the weekend.
constexpr std::chrono::hours kLinkEventsKept{7 * 24};
// Refused ten minutes after the rotation; kept as long as somebody may ask which certificate it
// was.
constexpr std::chrono::hours kOldCertificatesKept{7 * 24};
// One round stays short; what is left comes two seconds later.
constexpr std::int64_t kRowsPerRound = 5000;
// Of what is told in the audit chain: everybody else who has something to tell waits meanwhile.
constexpr std::int64_t kEventsPerRound = 100;

constexpr const char* kOnlyOne = "select pg_try_advisory_xact_lock(7236113402) as mine";

constexpr const char* kLiveSessions = R"sql(
  select s.id, s.organization_id, s.cluster_id, s.state,
         greatest(s.created_at, coalesce(s.reported_at, s.created_at)) as mentioned, h.received_at
  from sessions s join node_heartbeat_latest h on h.node_id = s.node_id
  where s.state not in ('closed', 'failed')
    and h.received_at > greatest(s.created_at, coalesce(s.reported_at, s.created_at))
  order by s.id limit $1
)sql";
// Requests lock a session, or a membership, and then the chain; so here every lock comes before the
// first event, and what is locked has its turn two seconds later.
constexpr const char* kLockSessions = R"sql(
  select id from sessions
  where id = any ($1::text[]) and state not in ('closed', 'failed')
  for update skip locked
)sql";
constexpr const char* kEndSession = R"sql(
  update sessions set state = $2, detail = $3, closed_at = $4, updated_at = $4,
         controller = null, viewers = 0, revision = revision + 1
  where id = $1 and state not in ('closed', 'failed')
    and greatest(created_at, coalesce(reported_at, created_at)) = $5
)sql";

constexpr const char* kHealthChanged = R"sql(
  select m.cluster_id, m.node_id, n.name, m.health, h.received_at
  from cluster_memberships m
  join nodes n on n.id = m.node_id
  join node_heartbeat_latest h on h.node_id = m.node_id
  where m.membership_status <> 'revoked'
    and m.health <> case when h.received_at > $1 then 'healthy' else 'silent' end
    and (h.received_at > $1 or $3)
  order by m.node_id limit $2
  for update of m skip locked
)sql";
constexpr const char* kSetHealth =
    "update cluster_memberships set health = $3 where cluster_id = $1 and node_id = $2";

constexpr const char* kForgetHeartbeats = R"sql(
  delete from node_heartbeats where ctid in
    (select ctid from node_heartbeats where received_at < $1 limit $2)
)sql";
constexpr const char* kForgetNodeEvents = R"sql(
  delete from node_events where ctid in
    (select ctid from node_events where received_at < $1 limit $2)
)sql";
// Events first: one session may have more of them than a round takes.
constexpr const char* kForgetSessionEvents = R"sql(
  delete from session_events where ctid in
    (select e.ctid
     from (select id from sessions
           where state in ('closed', 'failed') and closed_at < $1 order by closed_at limit $2) s
     cross join lateral (select ctid from session_events where session_id = s.id limit $2) e
     limit $2)
)sql";
constexpr const char* kForgetDetachments = R"sql(
  delete from session_detachments d using sessions s
  where s.id = d.session_id and s.state in ('closed', 'failed')
)sql";
// Whoever records an event has the session locked.
constexpr const char* kForgetSessions = R"sql(
  delete from sessions where id in
    (select id from sessions s
     where state in ('closed', 'failed') and closed_at < $1
       and not exists (select from session_events e where e.session_id = s.id)
     order by closed_at limit $2 for update skip locked)
)sql";
constexpr const char* kForgetCertificates = R"sql(
  delete from node_identities where certificate_sha256 in
    (select certificate_sha256 from node_identities
     where identity_status = 'superseded' and certificate_not_after < $1 limit $2)
)sql";
constexpr const char* kForgetLinkEvents = R"sql(
  delete from mesh_link_events where ctid in
    (select ctid from mesh_link_events where received_at < $1 limit $2)
)sql";
constexpr const char* kForgetMeshKeys = R"sql(
  delete from mesh_keys where spki_sha256 in
    (select spki_sha256 from mesh_keys where not_after < $1 limit $2)
)sql";
constexpr const char* kForgetKeys = "delete from idempotency_keys where created_at < $1";
constexpr const char* kForgetTokens = "delete from auth_sessions where expires_at < $1";

struct Missing {
  Row row;
  Verdict verdict;
};

std::vector<Missing> lock_missing_sessions(Tx& tx) {
  std::map<std::string, Missing> found;
  for (const Row& row : tx.query(kLiveSessions, {kRowsPerRound})) {
    const auto state = session_state_from_name(row.text("state"));
    const auto verdict = judge_missing(*state, row.time("mentioned"), row.time("received_at"));
    if (verdict) found.emplace(row.text("id"), Missing{row, *verdict});
    if (found.size() >= static_cast<std::size_t>(kEventsPerRound)) break;
  }
  std::vector<std::string> ids;
  for (const auto& [id, missing] : found) ids.push_back(id);
  std::vector<Missing> locked;
  if (ids.empty()) return locked;
  for (const Row& row : tx.query(kLockSessions, {ids})) locked.push_back(found.at(row.text("id")));
  return locked;
}

void end_missing_sessions(Tx& tx, const std::vector<Missing>& sessions, SystemTime now) {
  for (const auto& [row, verdict] : sessions) {
    // Not when the node has mentioned it meanwhile.
    const Rows ended = tx.query(kEndSession, {row.text("id"), name(verdict.state), verdict.detail,
                                              now, row.time("mentioned")});
    if (ended.affected() == 0) continue;
    boost::json::object detail;
    detail["detail"] = verdict.detail;
    audit(tx, Actor::system(), row.text("cluster_id"),
          {"session." + std::string(name(verdict.state)), row.text("id"),
           row.text("organization_id")},
          detail, now);
  }
}

void note_health(Tx& tx, const Rows& changed, SystemTime limit, SystemTime now) {
  for (const Row& row : changed) {
    const bool healthy = row.time("received_at") > limit;
    tx.query(kSetHealth,
             {row.text("cluster_id"), row.text("node_id"), healthy ? "healthy" : "silent"});
    boost::json::object detail;
    detail["last_heartbeat_at"] = to_rfc3339(row.time("received_at"));
    audit(tx, Actor::system(), row.text("cluster_id"),
          {healthy ? "node.healthy" : "node.silent", row.text("node_id")}, detail, now);
  }
}

}  // namespace

void run_maintenance(Tx& tx, SystemTime now, SystemTime listening_since,
                     std::chrono::hours sessions_kept) {
  if (!tx.query(kOnlyOne)[0].boolean("mine")) return;
  tx.enter(Scope::platform());
  const SystemTime limit = now - kSilentAfter;
  const std::vector<Missing> missing = lock_missing_sessions(tx);
  const Rows changed = tx.query(kHealthChanged, {limit, kEventsPerRound, listening_since < limit});
  end_missing_sessions(tx, missing, now);
  note_health(tx, changed, limit, now);
  tx.query(kForgetHeartbeats, {SystemTime(now - kHeartbeatsKept), kRowsPerRound});
  tx.query(kForgetNodeEvents, {SystemTime(now - kNodeEventsKept), kRowsPerRound});
  tx.query(kForgetDetachments);
  tx.query(kForgetSessionEvents, {SystemTime(now - sessions_kept), kRowsPerRound});
  tx.query(kForgetSessions, {SystemTime(now - sessions_kept), kRowsPerRound});
  tx.query(kForgetCertificates, {SystemTime(now - kOldCertificatesKept), kRowsPerRound});
  tx.query(kForgetLinkEvents, {SystemTime(now - kLinkEventsKept), kRowsPerRound});
  tx.query(kForgetMeshKeys, {SystemTime(now - kOldCertificatesKept), kRowsPerRound});
  tx.query(kForgetKeys, {SystemTime(now - kIdempotencyLife)});
  tx.query(kForgetTokens, {SystemTime(now - kOldTokensKept)});
}

}  // namespace rap::cp
