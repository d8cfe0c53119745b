#include <algorithm>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "controlplane/audit/audit.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/nodes/events_reply.hpp"
#include "controlplane/nodes/routes.hpp"

namespace rap::cp {
namespace {

// A node that was cut off sends what piled up in several requests.
constexpr std::int64_t kEventsMax = 100;
constexpr std::size_t kEventIdMax = 100;
constexpr std::size_t kSubjectMax = 200;
constexpr std::size_t kDetailMax =
    1000;  // a sentence and two hashes; the rest is in the node's log
// A fault that comes again and again must not fill the chain: one of a kind and subject in this
// time, and of all kinds together what a person can still read.
constexpr std::chrono::minutes kQuiet{10};
constexpr std::int64_t kOfNodeMax = 60;

constexpr std::string_view kKinds[] = {"artifact_refused",   "metadata_refused", "workload_failed",
                                       "workload_recovered", "sandbox_degraded", "clock_wrong"};

// Requests of one node come after one another, so that two at once do not both pass the limit.
constexpr const char* kLockNode = "select id from nodes where id = $1 for update";
constexpr const char* kRecent = R"sql(
  select count(*) as of_node, count(*) filter (where kind = $2 and subject = $3) as same
  from node_events where node_id = $1 and received_at > $4
)sql";
constexpr const char* kInsert = R"sql(
  insert into node_events (node_id, event_id, kind, subject, received_at)
  values ($1, $2, $3, $4, $5) on conflict (node_id, event_id) do nothing
)sql";
constexpr const char* kKnown =
    "select 1 as one from node_events where node_id = $1 and event_id = $2";

struct Event {
  std::string id, kind, subject, detail;
  SystemTime at{};
};

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':';
  });
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u < 0x20 || u == 0x7f;
  });
}

Event parse_event(const Call& call, const boost::json::object& object) {
  const auto text = [&](std::string_view key, std::size_t least, std::size_t most) {
    auto value = json_string_or_none(object, key);
    if (!value || value->size() < least || value->size() > most || has_control(*value)) {
      call.bad_field("events", "has a " + std::string(key) + " that is none");
    }
    return std::move(*value);
  };
  Event event;
  event.id = text("event_id", 1, kEventIdMax);
  if (!is_plain(event.id)) call.bad_field("events", "has an event_id that is none");
  event.kind = text("kind", 1, 40);
  if (std::ranges::find(kKinds, event.kind) == std::end(kKinds)) {
    call.bad_field("events", "has an unknown kind");
  }
  event.subject = text("subject", 1, kSubjectMax);
  event.detail = text("detail", 0, kDetailMax);
  const auto at = from_rfc3339(text("at", 1, 40));
  if (!at) call.bad_field("events", "has an at that is no time");
  event.at = *at;
  return event;
}

// True when it was new and not too much.
bool record(const Call& call, Tx& tx, const Event& event) {
  if (!tx.query(kKnown, {call.node.id, event.id}).empty()) return false;
  const SystemTime since = call.now - kQuiet;
  const Rows recent = tx.query(kRecent, {call.node.id, event.kind, event.subject, since});
  if (recent[0].integer("same") > 0 || recent[0].integer("of_node") >= kOfNodeMax) return false;
  tx.query(kInsert, {call.node.id, event.id, event.kind, event.subject, call.now});
  boost::json::object detail;
  detail["event_id"] = event.id;
  detail["detail"] = event.detail;
  detail["at"] = to_rfc3339(event.at);  // by the node's clock, which may be what is wrong
  audit(tx, Actor::of(call.node), call.node.cluster.str(), {"node." + event.kind, event.subject},
        detail, call.now);
  return true;
}

Reply node_events(const Call& call, Tx& tx) {
  std::vector<Event> events;
  for (const auto& item : call.array("events")) {
    events.push_back(parse_event(call, item.as_object()));
  }
  tx.enter(Scope::platform());
  tx.query(kLockNode, {call.node.id});
  // Not taken are those known already or over the limit: sending them again changes nothing.
  return events_reply(events, [&](const Event& event) { return record(call, tx, event); });
}

}  // namespace

void add_node_event_routes(std::vector<Route>& routes) {
  routes.push_back({"POST",
                    "/v1/node/events",
                    Who::node,
                    "What the node refused, and what fails on it; again by event_id is harmless",
                    {{200, "EventsTaken"}},
                    node_events,
                    {{"events", FieldType::objects, Need::required, 0, kEventsMax}}});
}

}  // namespace rap::cp
