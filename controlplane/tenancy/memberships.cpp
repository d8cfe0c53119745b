#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/auth/people.hpp"
#include "controlplane/auth/throttle.hpp"
#include "controlplane/db/database.hpp"
#include "controlplane/http/idempotency.hpp"
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
constexpr const char* kByLogin = "select id from users where login = $1 and status = 'active'";
constexpr const char* kFind = R"sql(
  select id, role from memberships where organization_id = $1 and user_id = $2 for update
)sql";
constexpr const char* kUpsert = R"sql(
  insert into memberships (id, organization_id, user_id, role) values ($1, $2, $3, $4)
  on conflict (organization_id, user_id)
  do update set role = case when $5 then excluded.role else memberships.role end
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
  if (!call.person.is_admin(id))
    refuse(Errc::forbidden, "only an admin of the organization may do this");
  tx.enter(Scope::of(id));
  return id;
}

// Who is meant, or nullopt. A disabled person is as good as none.
std::optional<UserId> meant(const Call& call, Tx& tx) {
  const bool by_login = call.has("login");
  const Rows rows = by_login ? tx.query(kByLogin, {normal_login(call.text("login"))})
                             : tx.query(kUserExists, {call.id<UserId>("user_id")});
  if (rows.empty()) return std::nullopt;
  return by_login ? require(UserId::parse(rows[0].text("id"))) : call.id<UserId>("user_id");
}

// Adding somebody who is there already sets the role, if one is named: a default takes no rights.
Reply add(const Call& call, Tx& tx, const OrganizationId& organization, const UserId& user) {
  const Rows before = tx.query(kFind, {organization, user});
  const std::string was = before.empty() ? "" : before[0].text("role");
  const auto named = call.text_or_none("role");
  // Somebody else may have added them since.
  tx.query(kUpsert, {MembershipId::fresh(), organization, user, named.value_or("member"),
                     named.has_value()});
  const Rows rows = tx.query(kGet, {organization, user});
  const std::string role = rows[0].text("role");
  if (before.empty()) may_attach_again(tx, user, {organization.str()});
  boost::json::object answer = to_json(rows[0]);
  if (!was.empty() && was != role) answer["previous_role"] = was;
  if (was != role) {
    boost::json::object detail;
    detail["user_id"] = user.str();
    detail["role"] = role;
    if (!was.empty()) detail["previous_role"] = was;
    audit(tx, Actor::of(call.person), "",
          {before.empty() ? "membership.added" : "membership.changed", rows[0].text("id"),
           organization.str()},
          detail, call.now);
  }
  return json_reply(before.empty() ? 201 : 200, answer);
}

// Admins of organizations cannot list people: one exact login at a time, and whoever tries names to
// learn who has an account is stopped as one who tries passwords, and is in the audit log.
class Guess {
 public:
  explicit Guess(const Call& call) : call_(call) {}

  net::Task<void> begin() {
    if (!counted()) co_return;
    if (co_await call_.services->throttle.take(key(), call_.address)) co_return;
    Problem problem(429, "exhausted", "too many logins of nobody; wait five minutes");
    problem.retry_after_s = static_cast<int>(kThrottleWindow.count());
    throw problem;
  }
  net::Task<void> was_right() {
    if (counted()) co_await call_.services->throttle.give_back(key(), call_.address);
  }

 private:
  bool counted() const { return call_.has("login") && !call_.person.owner; }
  // No login has a line end in it, so this counts nobody's passwords.
  std::string key() const { return "\nmembership\n" + call_.person.id.str(); }
  const Call& call_;
};

net::Task<Reply> add_person(const Call& call) {
  const std::string role = call.text_or_none("role").value_or("member");
  if (role != "admin" && role != "member") call.bad_field("role", "is admin or member");
  if (call.has("login") == call.has("user_id")) call.bad_field("login", "or user_id, one of them");
  Guess guess(call);
  std::optional<OrganizationId> organization;
  Database::Work look = [&](Tx& tx) { organization = administered(call, tx); };
  co_await call.services->db.run(std::move(look));
  co_await guess.begin();
  std::optional<UserId> user;
  Database::Work find = [&](Tx& tx) {
    tx.enter(Scope::of(*organization));
    user = meant(call, tx);
    if (user || !call.has("login")) return;
    // Not what was typed: it may have been a password.
    audit(tx, Actor::of(call.person), "",
          {"membership.refused", call.person.id.str(), organization->str()}, {}, call.now);
  };
  co_await call.services->db.run(std::move(find));
  if (!user) call.bad_field(call.has("login") ? "login" : "user_id", "is nobody we know");
  co_await guess.was_right();
  Reply reply;
  Database::Work work = [&](Tx& tx) {
    reply = with_idempotency_key(call, tx, [&](const Call& given, Tx& inner) {
      return add(given, inner, administered(given, inner), *user);
    });
  };
  co_await call.services->db.run(std::move(work));
  co_return reply;
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
    refuse(Errc::forbidden, "only an admin of the organization may do this");
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
  return no_content();
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
  routes.push_back(Route{
      "POST",
      "/v1/organizations/{id}/memberships",
      Who::person,
      "Add a person by id or exact login, or change what they are",
      {{200, "Membership"}, {201, "Membership"}, 403, 404, 429},
      TaskHandler(add_person),
      {text_field("user_id", 1, 40, Need::optional), text_field("login", 1, 100, Need::optional),
       text_field("role", 1, 10, Need::optional)}}
                       .creating());
  routes.push_back(
      {"DELETE", "/v1/memberships/{id}", Who::person, "Remove a person", {204, 403, 404}, remove});
}

}  // namespace rap::cp
