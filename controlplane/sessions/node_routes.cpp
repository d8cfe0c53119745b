#include <algorithm>
#include <utility>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/text.hpp"
#include "controlplane/audit/audit.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/nodes/events_reply.hpp"
#include "controlplane/sessions/routes.hpp"
#include "controlplane/sessions/rules.hpp"

namespace rap::cp {
namespace {

// A node that was cut off sends what piled up in several requests.
constexpr std::int64_t kEventsMax = 500;
constexpr std::size_t kDetailMax = 1000;
constexpr std::size_t kNameBytesMax = 256;  // what an agent sends of a name
// More of one node in this time waits at the node (429): hundreds of people who come and go are
// less, and a node in a thief's hands must not fill the chain.
constexpr std::chrono::minutes kPeriod{10};
constexpr std::int64_t kOfNodeMax = 2000;

// What happens in sessions on nodes; a node tells nothing else of them.
constexpr std::string_view kKinds[] = {"state",      "attached",    "detached",
                                       "taken_over", "view_joined", "view_left"};

// Requests of one node come after one another, so that two at once do not both pass the limit.
constexpr const char* kLockNode = "select id from nodes where id = $1 for update";
constexpr const char* kLately = R"sql(
  select count(*) as events from session_events where node_id = $1 and received_at > $2
)sql";

constexpr const char* kLock = R"sql(
  select id, organization_id, cluster_id, state from sessions where id = $1 and node_id = $2
  for update
)sql";
// A node tells once how a session ended. What it says of it after that is of its next question
// ("no such session here"): it may have asked before that end had come here.
constexpr const char* kEndTold = R"sql(
  select 1 as one from session_events
  where session_id = $1 and kind = 'state' and detail ->> 'state' in ('closed', 'failed')
  limit 1
)sql";
constexpr const char* kInsertEvent = R"sql(
  insert into session_events
    (event_id, organization_id, session_id, node_id, kind, user_id, user_name, detail, at,
     received_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
  on conflict (event_id) do nothing
)sql";
constexpr const char* kWasActive = R"sql(
  select 1 as one from session_events
  where session_id = $1 and kind = 'state' and detail ->> 'state' = 'active' and event_id <> $2
  limit 1
)sql";
// What came after the heartbeat that ended the session: how it ended.
constexpr const char* kUpdateOver = R"sql(
  update sessions set exit_status = coalesce(exit_status, $2),
    detail = case when $3 = '' then detail else $3 end
  where id = $1
)sql";
constexpr const char* kUpdate = R"sql(
  update sessions set state = $2,
    detail = case when $3 = '' then detail else $3 end,
    exit_status = coalesce($4, exit_status),
    reported_at = $5::timestamptz, updated_at = $5::timestamptz, revision = revision + 1,
    closed_at = case when $2 in ('closed', 'failed') then $5::timestamptz end
  where id = $1
)sql";

// The members that are known, and no others, within their limits.
struct Event {
  std::string id, kind, detail;
  SessionId session;
  std::optional<SessionState> state;
  std::optional<std::int64_t> exit_status;
  std::optional<std::string> user_id, user_name, previous_user_name, mode;
  SystemTime at{};
};

bool is_plain(std::string_view text, std::size_t max) {
  if (text.empty() || text.size() > max) return false;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || c == '.' || c == ':';
    if (!plain) return false;
  }
  return true;
}

std::optional<std::string> name_or_none(const boost::json::object& object, std::string_view key) {
  const auto text = json_string_or_none(object, key);
  if (!text || text->empty()) return std::nullopt;
  return std::string(utf8_prefix(*text, kNameBytesMax));
}

Event parse_event(const Call& call, const boost::json::object& object) {
  Event event;
  event.id = json_string_or_none(object, "event_id").value_or("");
  event.kind = json_string_or_none(object, "kind").value_or("");
  if (!is_plain(event.id, 100)) call.bad_field("events", "has an event_id that is none");
  if (std::ranges::find(kKinds, event.kind) == std::end(kKinds)) {
    call.bad_field("events", "has an unknown kind");
  }
  auto session = SessionId::parse(json_string_or_none(object, "session_id").value_or(""));
  if (!session) call.bad_field("events", "has a session_id that is none");
  event.session = std::move(*session);
  event.detail = utf8_prefix(json_string_or_none(object, "detail").value_or(""), kDetailMax);
  if (const auto state = json_string_or_none(object, "state")) {
    event.state = session_state_from_name(*state);
    if (!event.state) call.bad_field("events", "has an unknown state");
  }
  event.exit_status = json_int_or_none(object, "exit_status");
  if (event.exit_status && !std::in_range<std::int32_t>(*event.exit_status)) {
    call.bad_field("events", "has an exit_status that is none");
  }
  event.user_id = name_or_none(object, "user_id");
  event.user_name = name_or_none(object, "user_name");
  event.previous_user_name = name_or_none(object, "previous_user_name");
  event.mode = name_or_none(object, "mode");
  event.at = from_rfc3339(json_string_or_none(object, "at").value_or("")).value_or(call.now);
  return event;
}

// The kind for the log; empty: a state that people's own events tell better.
std::string audit_kind(Tx& tx, const Event& event) {
  if (event.kind != "state") return "session." + event.kind;
  if (!event.state) return {};
  if (is_over(*event.state)) return "session." + std::string(name(*event.state));
  const bool opened = *event.state == SessionState::active &&
                      tx.query(kWasActive, {event.session, event.id}).empty();
  return opened ? "session.opened" : "";
}

// Who it is about is the node's word (it learned the names from our leases), so it is in the detail
// and the actor is the node: a stolen one must not write events in a person's name.
boost::json::object detail_of(const Event& event) {
  boost::json::object out;
  if (event.state) out["state"] = name(*event.state);
  if (!event.detail.empty()) out["detail"] = event.detail;
  if (event.exit_status) out["exit_status"] = *event.exit_status;
  if (event.previous_user_name) out["previous_user_name"] = *event.previous_user_name;
  if (event.mode) out["mode"] = *event.mode;
  out["at"] = to_rfc3339(event.at);
  return out;
}

// True when it was new and is of a session on this node; a second end of a session is not new.
bool record(const Call& call, Tx& tx, const Event& event) {
  const Rows rows = tx.query(kLock, {event.session, call.node.id});
  if (rows.empty()) return false;
  const Row& session = rows[0];
  if (event.kind == "state" && event.state && is_over(*event.state) &&
      !tx.query(kEndTold, {event.session}).empty()) {
    return false;
  }
  boost::json::object detail = detail_of(event);
  const Rows inserted = tx.query(
      kInsertEvent, {event.id, session.text("organization_id"), event.session, call.node.id,
                     event.kind, event.user_id, event.user_name, detail, event.at, call.now});
  if (inserted.affected() == 0) return false;
  const auto current = *session_state_from_name(session.text("state"));
  const auto next = event.state ? after_report(current, *event.state) : current;
  if (!is_over(current)) {
    tx.query(kUpdate, {event.session, name(next), event.detail, event.exit_status, call.now});
  } else {
    tx.query(kUpdateOver, {event.session, event.exit_status, event.detail});
  }
  const std::string kind = audit_kind(tx, event);
  if (kind.empty()) return true;
  if (event.user_id) detail["user_id"] = *event.user_id;
  if (event.user_name) detail["user_name"] = *event.user_name;
  audit(tx, Actor::of(call.node), session.text("cluster_id"),
        {kind, event.session.str(), session.text("organization_id")}, detail, call.now);
  return true;
}

Reply session_events(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  std::vector<Event> events;
  for (const auto& item : call.array("events")) {
    events.push_back(parse_event(call, item.as_object()));
  }
  tx.query(kLockNode, {call.node.id});
  const Rows lately = tx.query(kLately, {call.node.id, SystemTime(call.now - kPeriod)});
  if (lately[0].integer("events") >= kOfNodeMax) {
    Problem problem(429, "exhausted", "too many session events of this node in ten minutes");
    problem.retry_after_s = 60;
    throw problem;
  }
  // Not taken are those known already or of a session that is not on this node: sending them again
  // changes nothing.
  return events_reply(events, [&](const Event& event) { return record(call, tx, event); });
}

}  // namespace

void add_node_session_routes(std::vector<Route>& routes) {
  routes.push_back({"POST",
                    "/v1/node/session-events",
                    Who::node,
                    "What happened in sessions of this node; again by event_id is harmless",
                    {{200, "EventsTaken"}, 429},
                    session_events,
                    {{"events", FieldType::objects, Need::required, 0, kEventsMax}}});
}

}  // namespace rap::cp
