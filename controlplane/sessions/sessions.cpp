#include <boost/json.hpp>

#include "base/json.hpp"
#include "controlplane/audit/audit.hpp"
#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/http/shapes.hpp"
#include "controlplane/nodes/desired.hpp"
#include "controlplane/sessions/detaching.hpp"
#include "controlplane/sessions/placement.hpp"
#include "controlplane/sessions/routes.hpp"

namespace rap::cp {
namespace {

constexpr const char* kResourceById = R"sql(
  select id, organization_id, cluster_id, name, protocol from resources
  where id = $1 and organization_id = any ($2::text[]) and deleted_at is null
)sql";
constexpr const char* kResourceByName = R"sql(
  select id, organization_id, cluster_id, name, protocol from resources
  where name = $1 and organization_id = any ($2::text[]) and deleted_at is null
  order by id limit 2
)sql";
constexpr const char* kInsert = R"sql(
  insert into sessions
    (id, organization_id, cluster_id, node_id, assignment_id, resource_id, user_id, state,
     created_at, updated_at)
  values ($1, $2, $3, $4, $5, $6, $7, 'opening', $8, $8)
)sql";
// Of these ids, in their order.
constexpr const char* kRows = R"sql(
  select s.id, s.organization_id, s.cluster_id, s.node_id, s.resource_id, s.user_id, s.state,
         s.detail, s.controller, s.viewers, s.exit_status, s.created_at, s.updated_at, s.closed_at,
         s.revision, r.name as resource_name, r.protocol, u.display_name as user_name,
         n.name as node_name
  from unnest($1::text[]) with ordinality as wanted (id, place)
  join sessions s on s.id = wanted.id
  join resources r on r.id = s.resource_id join users u on u.id = s.user_id
  join nodes n on n.id = s.node_id
  order by wanted.place
)sql";
constexpr const char* kOldest = R"sql(
  select id from sessions
  where id > $1 and ($2 = '' or state = any (string_to_array($2, ',')))
    and ($3 = '' or organization_id = $3)
  order by id limit $4
)sql";
constexpr const char* kNewest = R"sql(
  select id from sessions
  where id < $1 and ($2 = '' or state = any (string_to_array($2, ',')))
    and ($3 = '' or organization_id = $3)
  order by id desc limit $4
)sql";
// Of a member: each organization by its index, so that the time does not tell how much others have.
constexpr const char* kOldestOf = R"sql(
  select s.id from unnest($3::text[]) as mine (id)
  cross join lateral (
    select id from sessions
    where organization_id = mine.id and id > $1
      and ($2 = '' or state = any (string_to_array($2, ',')))
    order by id limit $4
  ) s
  order by s.id limit $4
)sql";
constexpr const char* kNewestOf = R"sql(
  select s.id from unnest($3::text[]) as mine (id)
  cross join lateral (
    select id from sessions
    where organization_id = mine.id and id < $1
      and ($2 = '' or state = any (string_to_array($2, ',')))
    order by id desc limit $4
  ) s
  order by s.id desc limit $4
)sql";
// Where a list that begins with the newest begins: after every id, in any collation.
constexpr const char* kAfterAllIds = "ses_zzzzzzzzzzzzzzzzzzzzzzzzzz";
constexpr const char* kLock = "select id from sessions where id = $1 for update";
constexpr const char* kTerminate = R"sql(
  update sessions set state = 'closing', close_requested_by = $2, updated_at = $3,
         revision = revision + 1
  where id = $1
)sql";

boost::json::object to_json(const Call& call, const Row& row) {
  boost::json::object out;
  for (const char* key : {"id", "organization_id", "cluster_id", "resource_id", "resource_name",
                          "protocol", "user_id", "user_name", "state", "detail"}) {
    out[key] = row.text(key);
  }
  // Where a session runs is nothing that an organization is told.
  if (call.person.owner) {
    for (const char* key : {"node_id", "node_name"}) out[key] = row.text(key);
  }
  // Reports of the node may be a moment older than the state: whoever controlled last does not now.
  out["controller"] = nullptr;
  const auto controller = row.text_or_none("controller");
  if (controller && row.text("state") == "active") out["controller"] = *controller;
  out["viewers"] = row.time_or_none("closed_at") ? 0 : row.integer("viewers");
  out["exit_status"] = nullptr;
  if (const auto status = row.integer_or_none("exit_status")) out["exit_status"] = *status;
  out["created_at"] = to_rfc3339(row.time("created_at"));
  out["updated_at"] = to_rfc3339(row.time("updated_at"));
  out["closed_at"] = nullptr;
  if (const auto at = row.time_or_none("closed_at")) out["closed_at"] = to_rfc3339(*at);
  return out;
}

// The organizations in which the caller may open a session.
std::vector<std::string> own_organizations(const Call& call) {
  std::vector<std::string> ids;
  const auto wanted = call.text_or_none("organization_id");
  for (const auto& membership : call.person.memberships) {
    if (!wanted || *wanted == membership.organization.str()) {
      ids.push_back(membership.organization.str());
    }
  }
  return ids;
}

Row find_resource(const Call& call, Tx& tx) {
  const auto organizations = own_organizations(call);
  Rows rows;
  if (call.has("resource_id")) {
    rows = tx.query(kResourceById, {call.id<ResourceId>("resource_id"), organizations});
  } else if (call.has("resource")) {
    rows = tx.query(kResourceByName, {call.text("resource"), organizations});
  } else {
    call.bad_field("resource_id", "or resource is required");
  }
  // The same answer for what does not exist and what belongs to others.
  if (rows.empty()) {
    const std::string wanted = call.text(call.has("resource_id") ? "resource_id" : "resource");
    refuse(Errc::not_found,
           "no resource '" + wanted + "' in an organization that you are a member of");
  }
  if (rows.size() > 1) {
    refuse(Errc::conflict,
           "several of your organizations have a resource of this name; give "
           "organization_id");
  }
  return rows[0];
}

Rows rows_of(Tx& tx, const std::vector<std::string>& ids) {
  return tx.query(kRows, {ids});
}

Reply create(const Call& call, Tx& tx) {
  std::vector<OrganizationId> mine;
  for (const auto& membership : call.person.memberships) mine.push_back(membership.organization);
  tx.enter(Scope::of(mine));
  const Sha256Digest certificate = client_certificate_of(call);
  if (mode_of(call) != fabric::LeaseMode::control) {
    call.bad_field("mode", "of a new session is control");
  }
  const Row resource = find_resource(call, tx);
  const auto organization = require(OrganizationId::parse(resource.text("organization_id")));
  const auto cluster = require(ClusterId::parse(resource.text("cluster_id")));
  if (!hold_membership(call, tx, organization)) {
    refuse(Errc::forbidden, "only members of the organization open sessions");
  }
  // Placement counts the sessions of everybody on a node.
  tx.enter(Scope::platform());
  const Candidate node =
      require(choose_node(call, tx, cluster, organization, resource.text("protocol")));
  tx.enter(Scope::of(organization));
  const auto id = SessionId::fresh();
  tx.query(kInsert, {id, organization, cluster, node.node_id, node.assignment_id,
                     resource.text("id"), call.person.id, call.now});
  boost::json::object body =
      grant_access(call, tx,
                   {cluster, node.node_id, id.str(), organization.str(), resource.text("id"),
                    fabric::LeaseVerb::open, fabric::LeaseMode::control, certificate});
  body["session"] = to_json(call, rows_of(tx, {id.str()})[0]);
  boost::json::object detail;
  detail["resource_id"] = resource.text("id");
  detail["resource"] = resource.text("name");
  detail["node_id"] = node.node_id;
  audit(tx, Actor::of(call.person), cluster.str(),
        {"session.requested", id.str(), organization.str()}, detail, call.now);
  return json_reply(201, body);
}

Row find_session(const Call& call, Tx& tx, bool lock) {
  tx.enter(call.person.scope());
  const auto id = call.path_id<SessionId>("id");
  if (lock && tx.query(kLock, {id}).empty()) refuse_not_found();
  const Rows rows = rows_of(tx, {id.str()});
  if (rows.empty()) refuse_not_found();
  return rows[0];
}

// An owner sees every session, others those of their organizations.
Rows listed_ids(const Call& call, Tx& tx, const Page& page, const std::string& only) {
  const bool newest = call.query("order") == "newest";
  const std::string after = newest && page.after.empty() ? kAfterAllIds : page.after;
  const std::string states = call.query("state").value_or("");
  if (call.person.owner) {
    return tx.query(newest ? kNewest : kOldest, {after, states, only, page.fetch()});
  }
  std::vector<std::string> mine;
  for (const auto& membership : call.person.memberships) {
    const std::string& id = membership.organization.str();
    if (only.empty() || only == id) mine.push_back(id);
  }
  return tx.query(newest ? kNewestOf : kOldestOf, {after, states, mine, page.fetch()});
}

Reply list(const Call& call, Tx& tx) {
  tx.enter(call.person.scope());
  const Page page = page_of(call);
  std::string only = call.query("organization_id").value_or("");
  if (!only.empty()) only = require(OrganizationId::parse(only)).str();
  std::vector<std::string> ids;
  for (const Row& row : listed_ids(call, tx, page, only)) ids.push_back(row.text("id"));
  return page_reply(page, rows_of(tx, ids), [&](const Row& row) { return to_json(call, row); });
}

Reply get(const Call& call, Tx& tx) {
  const Row row = find_session(call, tx, false);
  return entity_reply(200, to_json(call, row), row.integer("revision"));
}

// Any member may attach: sessions belong to organizations, and who attached is told and audited.
Reply attach(const Call& call, Tx& tx) {
  const auto organization =
      require(OrganizationId::parse(find_session(call, tx, false).text("organization_id")));
  if (!hold_membership(call, tx, organization)) {
    refuse(Errc::forbidden, "only members of the organization attach to its sessions");
  }
  const Row row = find_session(call, tx, true);
  require(check_attach(*session_state_from_name(row.text("state"))));
  const auto cluster = require(ClusterId::parse(row.text("cluster_id")));
  const auto mode = mode_of(call);
  boost::json::object body = grant_access(
      call, tx,
      {cluster, row.text("node_id"), row.text("id"), organization.str(), row.text("resource_id"),
       fabric::LeaseVerb::attach, mode, client_certificate_of(call)});
  body["session"] = to_json(call, row);
  boost::json::object detail;
  detail["mode"] = mode == fabric::LeaseMode::control ? "control" : "view";
  audit(tx, Actor::of(call.person), cluster.str(),
        {"session.attach_granted", row.text("id"), organization.str()}, detail, call.now);
  return json_reply(200, body);
}

Reply terminate(const Call& call, Tx& tx) {
  const Row row = find_session(call, tx, true);
  const auto organization = require(OrganizationId::parse(row.text("organization_id")));
  if (!call.person.owner && !call.person.is_member(organization)) refuse_not_found();
  const auto state = *session_state_from_name(row.text("state"));
  // Again, or too late: the wish is fulfilled or on its way.
  if (is_over(state) || state == SessionState::closing) return json_reply(202, to_json(call, row));
  tx.query(kTerminate, {row.text("id"), call.person.display_name, call.now});
  desired_changed(tx, require(NodeId::parse(row.text("node_id"))));
  audit(tx, Actor::of(call.person), row.text("cluster_id"),
        {"session.terminated", row.text("id"), organization.str()}, {}, call.now);
  return json_reply(202, to_json(call, rows_of(tx, {row.text("id")})[0]));
}

}  // namespace

void add_session_routes(std::vector<Route>& routes) {
  routes.push_back(
      Route{"POST",
            "/v1/sessions",
            Who::person,
            "Open a session: where to connect, and a lease for 30 seconds",
            {{201, "SessionAccess"}, 403, 404, 409},
            create,
            {optional_text("resource_id", 40), optional_text("resource", 100),
             optional_text("organization_id", 40), text_field("client_certificate_sha256", 43, 64),
             optional_text("mode", 10)}}
          .creating());
  routes.push_back({"GET",
                    "/v1/sessions",
                    Who::person,
                    "List sessions",
                    {{200, "SessionList"}},
                    list,
                    {},
                    {"limit",
                     "cursor",
                     {"order", kOrderWords},
                     {"state", kSessionStateWords, QueryParameter::Many::several},
                     "organization_id"}});
  routes.push_back(
      {"GET", "/v1/sessions/{id}", Who::person, "One session", {{200, "Session"}, 404}, get});
  Route join{"POST",
             "/v1/sessions/{id}/attach",
             Who::person,
             "Attach to a session: a lease for 30 seconds",
             {{200, "SessionAccess"}, 403, 404, 409},
             attach,
             {optional_text("mode", 10), text_field("client_certificate_sha256", 43, 64)}};
  routes.push_back(std::move(join));
  routes.push_back({"POST",
                    "/v1/sessions/{id}/terminate",
                    Who::person,
                    "End a session",
                    {{202, "Session"}, 404},
                    terminate});
}

}  // namespace rap::cp
