#include <boost/json.hpp>

#include "base/json.hpp"
#include "controlplane/audit/audit.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/sessions/routes.hpp"
#include "controlplane/sessions/rules.hpp"

namespace rap::cp {
namespace {

// A node that was cut off sends what piled up in several requests.
constexpr std::int64_t kEventsMax = 500;

constexpr const char* kLock = R"sql(
  select id, organization_id, cluster_id, state from sessions where id = $1 and node_id = $2
  for update
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

struct Event {
  std::string id, kind, detail;
  SessionId session;
  std::optional<SessionState> state;
  std::optional<std::int64_t> exit_status;
  std::optional<std::string> user_id, user_name;
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

Event parse_event(const Call& call, const boost::json::object& object) {
  Event event;
  event.id = json_string_or_none(object, "event_id").value_or("");
  event.kind = json_string_or_none(object, "kind").value_or("");
  if (!is_plain(event.id, 100)) call.bad_field("events", "has an event_id that is none");
  if (!is_plain(event.kind, 40)) call.bad_field("events", "has a kind that is none");
  auto session = SessionId::parse(json_string_or_none(object, "session_id").value_or(""));
  if (!session) call.bad_field("events", "has a session_id that is none");
  event.session = std::move(*session);
  event.detail = json_string_or_none(object, "detail").value_or("");
  if (event.detail.size() > 1000) event.detail.resize(1000);
  if (const auto state = json_string_or_none(object, "state")) {
    event.state = session_state_from_name(*state);
    if (!event.state) call.bad_field("events", "has an unknown state");
  }
  event.exit_status = json_int_or_none(object, "exit_status");
  event.user_id = json_string_or_none(object, "user_id");
  event.user_name = json_string_or_none(object, "user_name");
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

// For the log: who the event is about, as the node says; it learned the names from our leases.
Actor actor_of(const Call& call, const Event& event) {
  if (!event.user_id || event.user_id->empty()) return Actor::of(call.node);
  return {"person", *event.user_id, event.user_name.value_or("")};
}

// True when it was new and is of a session on this node.
bool record(const Call& call, Tx& tx, const Event& event, const boost::json::object& raw) {
  const Rows rows = tx.query(kLock, {event.session, call.node.id});
  if (rows.empty()) return false;
  const Row& session = rows[0];
  boost::json::object detail = raw;
  for (const char* known : {"event_id", "session_id", "kind", "user_id", "user_name"}) {
    detail.erase(known);
  }
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
  detail["node_id"] = call.node.id.str();
  audit(tx, actor_of(call, event), session.text("cluster_id"),
        {kind, event.session.str(), session.text("organization_id")}, detail, call.now);
  return true;
}

Reply session_events(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  std::int64_t accepted = 0;
  const auto& events = call.array("events");
  for (const auto& item : events) {
    const auto& object = item.as_object();
    if (record(call, tx, parse_event(call, object), object)) ++accepted;
  }
  boost::json::object body;
  body["accepted"] = accepted;
  // Known already, or of a session that is not on this node: sending them again changes nothing.
  body["ignored"] = static_cast<std::int64_t>(events.size()) - accepted;
  return json_reply(200, body);
}

}  // namespace

void add_node_session_routes(std::vector<Route>& routes) {
  routes.push_back({"POST",
                    "/v1/node/session-events",
                    Who::node,
                    "What happened in sessions of this node; again by event_id is harmless",
                    {{200, "EventsTaken"}},
                    session_events,
                    {{"events", FieldType::objects, Need::required, 0, kEventsMax}}});
}

}  // namespace rap::cp
