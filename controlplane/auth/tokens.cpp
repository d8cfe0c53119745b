#include "controlplane/auth/tokens.hpp"

#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/auth/people.hpp"
#include "controlplane/http/page.hpp"

namespace rap::cp {
namespace {

constexpr const char* kList = R"sql(
  select id, user_id, token_hash, address, created_at, expires_at from auth_sessions
  where user_id = $1 and id > $2 and revoked_at is null and expires_at > $3 order by id limit $4
)sql";
constexpr const char* kUserExists = "select 1 as one from users where id = $1";
constexpr const char* kRevokeOne = R"sql(
  update auth_sessions set revoked_at = $3
  where id = $1 and ($2 = '' or user_id = $2) and revoked_at is null and expires_at > $3
  returning user_id
)sql";
constexpr const char* kRevokeAll = R"sql(
  update auth_sessions set revoked_at = $3
  where user_id = $1 and token_hash <> $2 and revoked_at is null and expires_at > $3
)sql";

Reply list(const Call& call, Tx& tx, const UserId& user) {
  const Page page = page_of(call);
  const auto to_json = [&](const Row& row) {
    boost::json::object out;
    for (const char* key : {"id", "user_id", "address"}) out[key] = row.text(key);
    out["created_at"] = to_rfc3339(row.time("created_at"));
    out["expires_at"] = to_rfc3339(row.time("expires_at"));
    out["current"] = row.bytes("token_hash") == call.person.token_hash;
    return out;
  };
  return page_reply(page, tx.query(kList, {user, page.after, call.now, page.fetch()}), to_json);
}

Reply list_own(const Call& call, Tx& tx) {
  return list(call, tx, call.person.id);
}

UserId existing_user(const Call& call, Tx& tx) {
  const auto id = call.path_id<UserId>("id");
  if (tx.query(kUserExists, {id}).empty()) refuse_not_found();
  return id;
}

Reply list_of(const Call& call, Tx& tx) {
  return list(call, tx, existing_user(call, tx));
}

Reply revoke_one(const Call& call, Tx& tx) {
  const auto id = call.path_id<PersonTokenId>("id");
  const std::string only = call.person.owner ? "" : call.person.id.str();
  const Rows rows = tx.query(kRevokeOne, {id, only, call.now});
  if (rows.empty()) refuse_not_found();
  boost::json::object detail;
  detail["token_id"] = id.str();
  audit(tx, Actor::of(call.person), "", {"user.token_revoked", rows[0].text("user_id")}, detail,
        call.now);
  return no_content();
}

Reply revoke_of(const Call& call, Tx& tx) {
  const UserId user = existing_user(call, tx);
  boost::json::object detail;
  detail["count"] = revoke_tokens(tx, user, {}, call.now);
  audit(tx, Actor::of(call.person), "", {"user.tokens_revoked", user.str()}, detail, call.now);
  return json_reply(200, detail);
}

}  // namespace

std::int64_t revoke_tokens(Tx& tx, const UserId& user, const Bytes& except, SystemTime now) {
  return static_cast<std::int64_t>(tx.query(kRevokeAll, {user, except, now}).affected());
}

void add_token_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/auth/tokens",
                    Who::person,
                    "Where I am logged in",
                    {{200, "PersonTokenList"}},
                    list_own,
                    {},
                    {"limit", "cursor"}});
  routes.push_back({"GET",
                    "/v1/users/{id}/tokens",
                    Who::owner,
                    "Where a person is logged in",
                    {{200, "PersonTokenList"}, 404},
                    list_of,
                    {},
                    {"limit", "cursor"}});
  routes.push_back({"DELETE",
                    "/v1/users/{id}/tokens",
                    Who::owner,
                    "Log a person out everywhere",
                    {{200, "TokensRevoked"}, 404},
                    revoke_of});
  routes.push_back({"DELETE",
                    "/v1/tokens/{id}",
                    Who::person,
                    "End one login: one's own, for an owner anybody's",
                    {204, 404},
                    revoke_one});
}

}  // namespace rap::cp
