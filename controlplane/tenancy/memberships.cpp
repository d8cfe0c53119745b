#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/sessions/detaching.hpp"
#include "controlplane/sessions/ending.hpp"
#include "controlplane/tenancy/routes.hpp"

namespace rap::cp {
namespace {

constexpr const char* kOrganizationExists = "select 1 as one from organizations where id = $1";
constexpr const char* kUserExists =
    "select 1 as one from users where id = $1 and status = 'active'";
constexpr const char* kFind = R"sql(
  select id, role from memberships where organization_id = $1 and user_id = $2 for update
)sql";
constexpr const char* kUpsert = R"sql(
  insert into memberships (id, organization_id, user_id, role) values ($1, $2, $3, $4)
  on conflict (organization_id, user_id) do update set role = excluded.role
)sql";
constexpr const char* kList = R"sql(
  select m.id, m.organization_id, m.user_id, m.role, m.created_at, u.login, u.display_name
  from memberships m join users u on u.id = m.user_id
  where m.organization_id = $1 and m.id > $2 order by m.id limit $3
)sql";
constexpr const char* kGet = R"sql(
  select m.id, m.organization_id, m.user_id, m.role, m.created_at, u.login, u.display_name
  from memberships m join users u on u.id = m.user_id
  where m.organization_id = $1 and m.user_id = $2
)sql";
constexpr const char* kById = "select id, organization_id, user_id from memberships where id = $1";
constexpr const char* kDelete = "delete from memberships where id = $1";

boost::json::object to_json(const Row& row) {
  boost::json::object out;
  for (const char* key : {"id", "organization_id", "user_id", "role", "login", "display_name"}) {
    out[key] = row.text(key);
  }
  out["created_at"] = to_rfc3339(row.time("created_at"));
  return out;
}

// An organization that the caller administers; 404 when it is not theirs to see.
OrganizationId administered(const Call& call, Tx& tx) {
  const auto id = call.path_id<OrganizationId>("id");
  if (!call.person.owner && !call.person.is_member(id)) refuse_not_found();
  if (tx.query(kOrganizationExists, {id}).empty()) refuse_not_found();
  if (!call.person.is_admin(id)) refuse(Errc::forbidden, "only an admin of the organization may");
  tx.enter(Scope::of(id));
  return id;
}

// Adding somebody who is there already sets the role.
Reply add(const Call& call, Tx& tx) {
  const auto organization = administered(call, tx);
  const auto user = call.id<UserId>("user_id");
  const std::string role = call.text("role");
  if (role != "admin" && role != "member") call.bad_field("role", "is admin or member");
  if (tx.query(kUserExists, {user}).empty()) call.bad_field("user_id", "is nobody we know");
  const Rows before = tx.query(kFind, {organization, user});
  tx.query(kUpsert, {MembershipId::fresh(), organization, user, role});
  const Rows rows = tx.query(kGet, {organization, user});
  if (before.empty()) may_attach_again(tx, user, {organization.str()});
  if (before.empty() || before[0].text("role") != role) {
    boost::json::object detail;
    detail["user_id"] = user.str();
    detail["role"] = role;
    audit(tx, Actor::of(call.person), "",
          {before.empty() ? "membership.added" : "membership.changed", rows[0].text("id"),
           organization.str()},
          detail, call.now);
  }
  return json_reply(before.empty() ? 201 : 200, to_json(rows[0]));
}

Reply list(const Call& call, Tx& tx) {
  const auto organization = administered(call, tx);
  const Page page = page_of(call);
  return page_reply(page, tx.query(kList, {organization, page.after, page.fetch()}), to_json);
}

Reply remove(const Call& call, Tx& tx) {
  tx.enter(call.person.scope());
  const Rows rows = tx.query(kById, {call.path_id<MembershipId>("id")});
  if (rows.empty()) refuse_not_found();
  const auto organization = require(OrganizationId::parse(rows[0].text("organization_id")));
  if (!call.person.is_admin(organization)) {
    refuse(Errc::forbidden, "only an admin of the organization may");
  }
  tx.query(kDelete, {rows[0].text("id")});
  const auto user = require(UserId::parse(rows[0].text("user_id")));
  detach_person(tx, user, {organization.str()}, call.now);
  boost::json::object detail;
  detail["user_id"] = user.str();
  audit(tx, Actor::of(call.person), "",
        {"membership.removed", rows[0].text("id"), organization.str()}, detail, call.now);
  end_sessions(call, tx, {.organization = organization.str(), .user = user.str()},
               "who opened it is no longer a member");
  Reply reply;
  reply.status = 204;
  return reply;
}

}  // namespace

void add_membership_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/organizations/{id}/memberships",
                    Who::person,
                    "List members",
                    {{200, "MembershipList"}, 403, 404},
                    list,
                    {},
                    {"limit", "cursor"}});
  Route make{"POST",
             "/v1/organizations/{id}/memberships",
             Who::person,
             "Add a person, or change what they are",
             {{200, "Membership"}, {201, "Membership"}, 403, 404},
             add,
             {text_field("user_id", 1, 40), text_field("role", 1, 10)}};
  make.creates = true;
  routes.push_back(std::move(make));
  routes.push_back(
      {"DELETE", "/v1/memberships/{id}", Who::person, "Remove a person", {204, 403, 404}, remove});
}

}  // namespace rap::cp
