// Whether a person may log in.
#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/auth/tokens.hpp"
#include "controlplane/sessions/detaching.hpp"
#include "controlplane/sessions/ending.hpp"
#include "controlplane/tenancy/routes.hpp"
#include "controlplane/tenancy/user_json.hpp"

namespace rap::cp {
namespace {

constexpr const char* kSet = R"sql(
  update users set status = $2, revision = revision + 1, updated_at = $3
  where id = $1 and status <> $2
)sql";
constexpr const char* kGet = R"sql(
  select id, login, display_name, is_owner, status, totp_enabled, created_at from users
  where id = $1
)sql";
constexpr const char* kOrganizations =
    "select organization_id from memberships where user_id = $1 order by organization_id";

std::vector<std::string> organizations_of(Tx& tx, const UserId& user) {
  std::vector<std::string> out;
  for (const Row& row : tx.query(kOrganizations, {user}))
    out.push_back(row.text("organization_id"));
  return out;
}

// False: it was so already.
bool change(const Call& call, Tx& tx, const UserId& user, const char* status) {
  tx.enter(Scope::platform());
  if (tx.query(kGet, {user}).empty()) refuse_not_found();
  return tx.query(kSet, {user, status, call.now}).affected() == 1;
}

Reply shown(Tx& tx, const UserId& user) {
  return json_reply(200, user_json(tx.query(kGet, {user})[0]));
}

Reply disable(const Call& call, Tx& tx) {
  const auto user = call.path_id<UserId>("id");
  // So the last owner cannot lock everybody out.
  if (user == call.person.id) refuse(Errc::conflict, "nobody disables themselves");
  if (change(call, tx, user, "disabled")) {
    revoke_tokens(tx, user, {}, call.now);
    detach_person(tx, user, organizations_of(tx, user), call.now);
    boost::json::object detail;
    if (const auto reason = call.text_or_none("reason")) detail["reason"] = *reason;
    audit(tx, Actor::of(call.person), "", {"user.disabled", user.str()}, detail, call.now);
    end_sessions(call, tx, {.user = user.str()}, "who opened it was disabled");
  }
  return shown(tx, user);
}

Reply enable(const Call& call, Tx& tx) {
  const auto user = call.path_id<UserId>("id");
  if (change(call, tx, user, "active")) {
    may_attach_again(tx, user, organizations_of(tx, user));
    audit(tx, Actor::of(call.person), "", {"user.enabled", user.str()}, {}, call.now);
  }
  return shown(tx, user);
}

}  // namespace

void add_standing_routes(std::vector<Route>& routes) {
  routes.push_back({"POST",
                    "/v1/users/{id}/disable",
                    Who::owner,
                    "Let a person in no more: logins, own sessions and attachments end",
                    {{200, "User"}, 404, 409},
                    disable,
                    {optional_text("reason", 500)}});
  routes.push_back({"POST",
                    "/v1/users/{id}/enable",
                    Who::owner,
                    "Let a disabled person log in again",
                    {{200, "User"}, 404},
                    enable});
}

}  // namespace rap::cp
