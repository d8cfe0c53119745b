#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/text.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/nodes/heartbeats.hpp"
#include "controlplane/nodes/presence.hpp"
#include "controlplane/nodes/routes.hpp"

namespace rap::cp {
namespace {

// A node runs tens of workloads and hundreds of sessions; the body limit is 1 MiB anyway.
constexpr std::int64_t kWorkloadsMax = 200;
constexpr std::int64_t kSessionsMax = 2000;
constexpr std::size_t kDetailMax = 1000;
// Far more than ever look at one session, and what the column holds.
constexpr std::int64_t kViewersMax = 100'000;

std::string short_text(const boost::json::object& object, std::string_view key) {
  return std::string(utf8_prefix(json_string_or_none(object, key).value_or(""), kDetailMax));
}

bool is_session_state(std::string_view state) {
  for (const char* known : {"opening", "active", "detached", "closing", "closed", "failed"}) {
    if (state == known) return true;
  }
  return false;
}

std::vector<WorkloadReport> workloads_of(const Call& call) {
  std::vector<WorkloadReport> out;
  for (const auto& item : call.array("workloads")) {
    const auto& object = item.as_object();
    out.push_back({short_text(object, "assignment_id"), short_text(object, "role"),
                   short_text(object, "state"), short_text(object, "detail"),
                   short_text(object, "version"), json_int_or_none(object, "pid")});
  }
  return out;
}

std::vector<SessionReport> sessions_of(const Call& call) {
  std::vector<SessionReport> out;
  for (const auto& item : call.array("sessions")) {
    const auto& object = item.as_object();
    SessionReport report;
    report.session_id = short_text(object, "session_id");
    report.state = short_text(object, "state");
    if (!is_session_state(report.state)) call.bad_field("sessions", "has an unknown state");
    report.detail = short_text(object, "detail");
    if (object.if_contains("controller") != nullptr) {
      report.controller = short_text(object, "controller");
    }
    // A count, or the list of who views.
    report.viewers = json_int_or_none(object, "viewers").value_or(0);
    if (const auto* list = object.if_contains("viewers"); list != nullptr && list->is_array()) {
      report.viewers = static_cast<std::int64_t>(list->get_array().size());
    }
    if (report.viewers < 0 || report.viewers > kViewersMax) {
      call.bad_field("sessions", "has viewers that are no number of people");
    }
    out.push_back(std::move(report));
  }
  return out;
}

net::Task<Reply> heartbeat(const Call& call) {
  const Services& services = *call.services;
  Heartbeat beat;
  beat.node_id = call.node.id.str();
  beat.cluster_id = call.node.cluster.str();
  beat.boot_id = call.text("boot_id");
  beat.agent_version = call.text("agent_version");
  beat.mesh_endpoint = call.text("mesh_endpoint");
  beat.sent_at = from_rfc3339(call.text("sent_at")).value_or(call.now);
  beat.received_at = call.now;
  beat.director_version = call.integer_or("director_version", 0);
  beat.workloads = workloads_of(call);
  beat.sessions = sessions_of(call);
  beat.capabilities = require(parse_capabilities(call.array("capabilities")));
  boost::json::object payload;
  payload["load"] = call.object("load");
  payload["sandbox_layers"] = call.array("sandbox_layers");
  payload["workloads"] = call.array("workloads").size();
  payload["sessions"] = call.array("sessions").size();
  beat.payload = boost::json::serialize(payload);
  services.heartbeats.add(std::move(beat));

  boost::json::object body;
  body["server_time"] = to_rfc3339(services.clock.now());
  body["interval_ms"] = kHeartbeatInterval.count();
  co_return json_reply(200, body);
}

}  // namespace

void add_heartbeat_routes(std::vector<Route>& routes) {
  routes.push_back(
      {"POST",
       "/v1/node/heartbeat",
       Who::node,
       "What the node does and how it is",
       {{200, "HeartbeatAnswer"}},
       TaskHandler(heartbeat),
       {text_field("boot_id", 1, 100),
        text_field("sent_at", 1, 40),
        text_field("agent_version", 1, 60),
        optional_text("mesh_endpoint", 300),
        {"load", FieldType::object, Need::optional},
        {"capabilities", FieldType::items, Need::optional, 0, 64},
        {"sandbox_layers", FieldType::items, Need::optional, 0, 64},
        {"workloads", FieldType::objects, Need::optional, 0, kWorkloadsMax},
        {"sessions", FieldType::objects, Need::optional, 0, kSessionsMax},
        {"director_version", FieldType::integer, Need::optional, 0, (std::int64_t{1} << 53) - 1}}});
}

}  // namespace rap::cp
