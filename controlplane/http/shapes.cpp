#include "controlplane/http/shapes.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include <boost/json.hpp>

#include "controlplane/http/fields.hpp"
#include "controlplane/http/query.hpp"
#include "controlplane/http/shape.hpp"

namespace rap::cp {
namespace {

// An admin sees them, a member does not.
constexpr Need kAdminsOnly = Need::optional;
// In the answer to who changed it, once.
constexpr Need kWhenChanged = Need::optional;
// Which node it is, and how much else happens: the platform's owner sees it, organizations do not.
constexpr Need kOwnersOnly = Need::optional;
// While the cluster has an entry that answers, and the node a certificate for the service and a
// mesh process that reports.
constexpr Need kWithMesh = Need::optional;
// Where the node has a listener; one of the two is there.
constexpr Need kWithListener = Need::optional;

std::vector<Shape> make_shapes() {
  std::vector<Shape> shapes = {
      {"FieldError", {{"pointer", "string"}, {"detail", "string"}}},
      {"Problem",
       {{"type", "string"},
        {"title", "string"},
        {"status", "integer"},
        {"code", "string"},
        {"detail", "string"},
        {"errors", "[FieldError]", Need::optional}}},
      {"Liveness", {{"status", "alive"}}},
      {"ReadinessChecks",
       {{"postgresql", "string"},
        {"authority", "healthy|degraded|recovery|isolated", Need::optional},
        {"redis", "string"}}},
      {"Readiness", {{"status", "ready|degraded|not ready"}, {"checks", "ReadinessChecks"}}},

      {"Login", {{"token", "string"}, {"expires_at", "time"}, {"user", "LoginUser"}}},
      {"LoginUser",
       {{"id", "string"}, {"login", "string"}, {"display_name", "string"}, {"owner", "boolean"}}},
      {"OwnMembership", {{"organization_id", "string"}, {"role", "admin|member"}}},
      {"WhoAmI", {{"memberships", "[OwnMembership]"}}, "LoginUser"},
      {"PersonToken",
       {{"id", "string"},
        {"user_id", "string"},
        {"address", "string"},
        {"created_at", "time"},
        {"expires_at", "time"},
        {"current", "boolean"}}},
      {"TokensRevoked", {{"count", "integer"}}},
      {"TotpSecret", {{"secret", "string"}, {"uri", "string"}}},
      {"TotpState", {{"enabled", "boolean"}}},

      {"Organization",
       {{"id", "string"},
        {"name", "string"},
        {"slug", "string"},
        {"status", "active|suspended"},
        {"created_at", "time"}}},
      {"User",
       {{"id", "string"},
        {"login", "string"},
        {"display_name", "string"},
        {"status", "active|disabled"},
        {"owner", "boolean"},
        {"totp_enabled", "boolean"},
        {"created_at", "time"}}},
      {"Membership",
       {{"id", "string"},
        {"organization_id", "string"},
        {"user_id", "string"},
        {"role", "admin|member"},
        {"previous_role", "admin|member", kWhenChanged},
        {"login", "string"},
        {"display_name", "string"},
        {"created_at", "time"}}},
      {"Target", {{"host", "string"}, {"port", "integer"}}},
      {"Resource",
       {{"id", "string"},
        {"organization_id", "string"},
        {"name", "string"},
        {"protocol", "string"},
        {"cluster_id", "string", kAdminsOnly},
        {"target", "Target", kAdminsOnly},
        {"secret_ref", "string?", kAdminsOnly},
        {"options", "object", kAdminsOnly},
        {"created_at", "time", kAdminsOnly},
        {"updated_at", "time", kAdminsOnly}}},
      {"Secret",
       {{"id", "string"},
        {"organization_id", "string"},
        {"name", "string"},
        {"created_by_user_id", "string"},
        {"created_at", "time"}}},

      {"Cluster",
       {{"id", "string"},
        {"name", "string"},
        {"slug", "string"},
        {"status", "active|archived"},
        {"region", "string?"},
        {"metadata", "object"},
        {"created_at", "time"},
        {"updated_at", "time"}}},
      {"DirectorRoot",
       {{"cluster_id", "string"},
        {"version", "integer"},
        {"signed_sha256", "string"},
        {"trust", "unknown|missing|complete"},
        {"signatures", "integer"},
        {"threshold", "integer?"},
        {"document", "object"}}},
      {"NodeGroup",
       {{"id", "string"},
        {"cluster_id", "string"},
        {"name", "string"},
        {"parent_id", "string?"},
        {"created_at", "time"}}},
      {"JoinTokenScope", {{"roles", "[string]", Need::optional}}},
      {"JoinToken",
       {{"id", "string"},
        {"cluster_id", "string"},
        {"scope", "JoinTokenScope"},
        {"expires_at", "time"},
        {"max_uses", "integer"},
        {"used_count", "integer"},
        {"created_by_user_id", "string"},
        {"created_at", "time"},
        {"revoked_at", "time?"},
        {"token", "string", Need::optional}}},  // only in the answer that creates it
      {"ReportedCapability", {{"name", "string"}, {"detail", "object"}}},
      {"JoinRequest",
       {{"id", "string"},
        {"cluster_id", "string"},
        {"node_name", "string"},
        {"agent_version", "string"},
        {"address", "string"},
        {"status", kJoinRequestStatusWords},
        {"join_token_id", "string"},
        {"fingerprint", "string"},
        {"capabilities", "[ReportedCapability]"},
        {"facts", "object"},
        {"requested_roles", "[string]"},
        {"created_at", "time"},
        {"reviewed_by_user_id", "string?"},
        {"rejection_reason", "string?"},
        {"node_id", "string?"},
        {"renews_node_id", "string?"},
        {"reviewed_at", "time?"}}},
      {"EnrollmentPending", {{"join_request_id", "string"}, {"status", "pending"}}},
      {"EnrollmentApproved",
       {{"status", "approved"},
        {"join_request_id", "string"},
        {"node_id", "string"},
        {"cluster_id", "string"},
        {"certificate_pem", "string"},
        {"cluster_ca_pem", "string"},
        {"director_root", "object"}}},

      {"NodeSummary",
       {{"id", "string"},
        {"name", "string"},
        {"cluster_id", "string"},
        {"status", "active|disabled|revoked"},
        {"status_reason", "string?"},
        {"presence", "online|offline"},
        {"last_heartbeat_at", "time?"},
        {"group_id", "string?"},
        {"agent_version", "string?"},
        {"mesh_endpoint", "string?"},
        {"certificate_serial", "string?"},
        {"certificate_not_after", "time?"},
        {"director_version", "integer"},
        {"joined_at", "time"}}},
      {"NodeCapability", {{"name", "string"}, {"detail", "object"}, {"reported_at", "time"}}},
      {"NodeHeartbeat",
       {{"load", "object"},
        {"sandbox_layers", "[any]"},
        {"workloads", "integer"},
        {"sessions", "integer"}}},
      {"NodeWorkload",
       {{"assignment_id", "string"},
        {"role", "string"},
        {"organization_id", "string?"},
        {"desired_state", "running|stopped"},
        {"state", "string"},
        {"detail", "string"},
        {"version", "string"},
        {"pid", "integer?"},
        {"last_heartbeat_at", "time"}}},
      {"Node",
       {{"facts", "object"},
        {"heartbeat", "NodeHeartbeat?"},
        {"capabilities", "[NodeCapability]"},
        {"workloads", "[NodeWorkload]"}},
       "NodeSummary"},
      {"AssignedWorkload", {{"state", "string"}, {"detail", "string"}, {"version", "string"}}},
      {"RoleAssignment",
       {{"id", "string"},
        {"cluster_id", "string"},
        {"node_id", "string"},
        {"role", "string"},
        {"status", "active|removed"},
        {"assigned_by_user_id", "string"},
        {"organization_id", "string?"},
        {"policy", "object"},
        {"assigned_at", "time"},
        {"workload", "AssignedWorkload?"}}},

      {"Session",
       {{"id", "string"},
        {"organization_id", "string"},
        {"cluster_id", "string"},
        {"node_id", "string", kOwnersOnly},
        {"node_name", "string", kOwnersOnly},
        {"resource_id", "string"},
        {"resource_name", "string"},
        {"protocol", "string"},
        {"user_id", "string"},
        {"user_name", "string"},
        {"state", kSessionStateWords},
        {"detail", "string"},
        {"controller", "string?"},
        {"viewers", "integer"},
        {"exit_status", "integer?"},
        {"created_at", "time"},
        {"updated_at", "time"},
        {"closed_at", "time?"}}},
      {"SessionNode",
       {{"endpoint", "string"}, {"spiffe_id", "string"}, {"cluster_ca_pem", "string"}}},
      {"SessionMesh",
       {{"entries", "[string]"},
        {"service", "string"},
        {"carry", "string"},
        {"carry_expires_at", "time"},
        {"lease", "string"},
        {"cluster_ca_pem", "string"}}},
      // `mesh`, or the single hop: that goes with the nodes' listener.
      {"SessionAccess",
       {{"session", "Session"},
        {"lease", "string", kWithListener},
        {"node", "SessionNode", kWithListener},
        {"mesh", "SessionMesh", kWithMesh}}},
      {"CarryAccess",
       {{"entries", "[string]"},
        {"service", "string"},
        {"carry", "string"},
        {"carry_expires_at", "time"},
        {"cluster_ca_pem", "string"}}},
      {"TraceAccess",
       {{"entries", "[string]"},
        {"target", "string"},
        {"authority", "string"},
        {"carry", "string"},
        {"carry_expires_at", "time"},
        {"cluster_ca_pem", "string"}}},

      {"Release",
       {{"id", "string"},
        {"product", "string"},
        {"version", "string"},
        {"release_seq", "integer"},
        {"security_epoch", "integer"},
        {"manifest_sha256", "string"},
        {"manifest", "object"},
        {"listed", "boolean"},
        {"synced_at", "time"},
        {"created_at", "time"}}},
      {"ReleaseSync",
       {{"releases", "integer"},
        {"added", "integer"},
        {"unlisted", "integer"},
        {"skipped", "[string]"}}},

      {"AuditActor", {{"kind", "person|node|system"}, {"id", "string"}, {"name", "string"}}},
      {"AuditEvent",
       {{"id", "string"},
        {"chain", "string", kOwnersOnly},
        {"seq", "integer", kOwnersOnly},
        {"at", "time"},
        {"kind", "string"},
        {"actor", "AuditActor"},
        {"subject", "string"},
        {"organization_id", "string?"},
        {"detail", "object"},
        {"authority_term", "integer"},
        {"hash", "string"}}},
      {"AuditVerdict",
       {{"valid", "boolean"}, {"checked", "integer"}, {"head", "string"}, {"problem", "string?"}}},

      {"HeartbeatAnswer", {{"server_time", "time"}, {"interval_ms", "integer"}}},
      {"NodeCertificate", {{"certificate_pem", "string"}}},
      {"EventsTaken", {{"accepted", "integer"}, {"ignored", "integer"}}},
      {"SecretValue", {{"value", "string"}}},
      {"SessionToClose", {{"session_id", "string"}, {"by", "string"}}},
      {"PersonToDetach", {{"session_id", "string"}, {"user_id", "string"}}},
      {"Desired",
       {{"seq", "integer"},
        {"director_version", "integer"},
        {"close_sessions", "[SessionToClose]"},
        {"detach", "[PersonToDetach]"}}},
  };
  for (Shape& shape : mesh_shapes()) shapes.push_back(std::move(shape));
  return shapes;
}

const std::vector<Shape>& all_shapes() {
  static const std::vector<Shape> shapes = make_shapes();
  return shapes;
}

const Shape* find_shape(std::string_view name) {
  const auto found = std::ranges::find(all_shapes(), name, &Shape::name);
  return found == all_shapes().end() ? nullptr : &*found;
}

boost::json::object schema_of(const Shape& shape);

// Without other members than these.
boost::json::object closed_object(boost::json::object properties, boost::json::array required) {
  boost::json::object out;
  out["type"] = "object";
  out["additionalProperties"] = false;
  out["properties"] = std::move(properties);
  if (!required.empty()) out["required"] = std::move(required);
  return out;
}

boost::json::object of_type(std::string_view type) {
  boost::json::object out;
  const bool nullable = type.ends_with('?');
  if (nullable) type.remove_suffix(1);
  if (type == "any") return out;
  if (type.starts_with('[')) {
    out["type"] = "array";
    out["items"] = of_type(type.substr(1, type.size() - 2));
  } else if (type == "string" || type == "integer" || type == "number" || type == "boolean" ||
             type == "object") {
    out["type"] = type;
  } else if (type == "time") {
    out["type"] = "string";
    out["format"] = "date-time";
  } else if (const Shape* shape = find_shape(type)) {
    if (!nullable) {
      out["$ref"] = "#/components/schemas/" + std::string(type);
      return out;
    }
    out = schema_of(*shape);  // a reference cannot be "or null" without anyOf
  } else {
    out["type"] = "string";
    boost::json::array words;
    for (const std::string_view word : words_of(type)) words.emplace_back(word);
    out["enum"] = std::move(words);
  }
  if (nullable) {
    const boost::json::value plain = out["type"];
    out["type"] = boost::json::array{plain, "null"};
  }
  return out;
}

void add_members(const Shape& shape, boost::json::object& properties,
                 boost::json::array& required) {
  if (const Shape* base = find_shape(shape.base)) add_members(*base, properties, required);
  for (const Member& member : shape.members) {
    properties[member.name] = of_type(member.type);
    if (member.need == Need::required) required.emplace_back(member.name);
  }
}

boost::json::object schema_of(const Shape& shape) {
  boost::json::object properties;
  boost::json::array required;
  add_members(shape, properties, required);
  return closed_object(std::move(properties), std::move(required));
}

boost::json::object list_schema(std::string_view item) {
  boost::json::object properties;
  properties["items"] = of_type("[" + std::string(item) + "]");
  properties["next_cursor"] = of_type("string?");
  return closed_object(std::move(properties), {"items", "next_cursor"});
}

}  // namespace

bool is_shape(std::string_view name) {
  if (find_shape(name) != nullptr) return true;
  if (!name.ends_with(kListSuffix)) return false;
  name.remove_suffix(kListSuffix.size());
  return find_shape(name) != nullptr;
}

boost::json::object shape_schemas(const std::set<std::string_view>& lists) {
  boost::json::object out;
  for (const Shape& shape : all_shapes()) out[shape.name] = schema_of(shape);
  for (const std::string_view list : lists) {
    out[list] = list_schema(list.substr(0, list.size() - kListSuffix.size()));
  }
  return out;
}

}  // namespace rap::cp
