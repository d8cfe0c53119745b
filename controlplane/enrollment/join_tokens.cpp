#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/enrollment/routes.hpp"
#include "controlplane/enrollment/rules.hpp"
#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/pki/authority.hpp"
#include "controlplane/roles/release_roles.hpp"
#include "controlplane/roles/rules.hpp"

namespace rap::cp {
namespace {

// A token is for the next hours; a week covers a shipment. The uses bound a rack.
constexpr std::int64_t kLifeMaxS = 7 * 24 * 3600;
constexpr std::int64_t kUsesMax = 1000;

constexpr const char* kClusterExists =
    "select 1 as one from clusters where id = $1 and status = 'active'";
constexpr const char* kInsert = R"sql(
  insert into node_join_tokens
    (id, cluster_id, token_hash, scope, expires_at, max_uses, created_by_user_id)
  values ($1, $2, $3, $4, $5, $6, $7)
  returning id, cluster_id, scope, expires_at, max_uses, used_count, created_by_user_id, revoked_at,
            created_at
)sql";
constexpr const char* kList = R"sql(
  select id, cluster_id, scope, expires_at, max_uses, used_count, created_by_user_id, revoked_at,
         created_at
  from node_join_tokens where cluster_id = $1 and id > $2 order by id limit $3
)sql";
constexpr const char* kRevoke = R"sql(
  update node_join_tokens set revoked_at = coalesce(revoked_at, $2) where id = $1
  returning id, cluster_id, scope, expires_at, max_uses, used_count, created_by_user_id, revoked_at,
            created_at
)sql";

boost::json::object to_json(const Row& row) {
  boost::json::object out;
  out["id"] = row.text("id");
  out["cluster_id"] = row.text("cluster_id");
  out["scope"] = row.json("scope");
  out["expires_at"] = to_rfc3339(row.time("expires_at"));
  out["max_uses"] = row.integer("max_uses");
  out["used_count"] = row.integer("used_count");
  out["created_by_user_id"] = row.text("created_by_user_id");
  out["created_at"] = to_rfc3339(row.time("created_at"));
  out["revoked_at"] = nullptr;
  if (const auto at = row.time_or_none("revoked_at")) out["revoked_at"] = to_rfc3339(*at);
  return out;
}

void check_scope(const Call& call, Tx& tx) {
  const std::vector<std::string> of_releases = release_roles(tx);
  for (const auto& member : call.object("scope")) {
    if (member.key() != "roles" || !member.value().is_array()) {
      call.bad_field("scope", "may hold roles, an array");
    }
    for (const auto& role : member.value().get_array()) {
      if (!role.is_string()) call.bad_field("scope", "roles are strings");
      const auto known = check_role(std::string_view(role.get_string()), of_releases);
      if (!known) call.bad_field("scope", known.error().detail);
    }
  }
}

Reply create(const Call& call, Tx& tx) {
  const auto cluster = call.path_id<ClusterId>("id");
  if (tx.query(kClusterExists, {cluster}).empty()) refuse_not_found();
  check_scope(call, tx);
  JoinTokenText token{JoinTokenId::fresh(), random_bytes(32),
                      call.services->platform.spki_sha256()};
  const SystemTime expires = call.now + std::chrono::seconds(call.integer("ttl_s"));
  const Rows rows = tx.query(
      kInsert, {token.id, cluster, ByteView(sha256(ByteView(token.secret))), call.object("scope"),
                expires, call.integer_or("max_uses", 1), call.person.id});
  boost::json::object detail;
  detail["expires_at"] = to_rfc3339(expires);
  detail["max_uses"] = call.integer_or("max_uses", 1);
  detail["scope"] = call.object("scope");
  audit(tx, Actor::of(call.person), cluster.str(), {"join_token.created", token.id.str()}, detail,
        call.now);
  boost::json::object body = to_json(rows[0]);
  body["token"] = make_join_token(token);
  return json_reply(201, body);
}

Reply list(const Call& call, Tx& tx) {
  const auto cluster = call.path_id<ClusterId>("id");
  if (tx.query(kClusterExists, {cluster}).empty()) refuse_not_found();
  const Page page = page_of(call);
  return page_reply(page, tx.query(kList, {cluster, page.after, page.fetch()}), to_json);
}

Reply revoke(const Call& call, Tx& tx) {
  const auto id = call.path_id<JoinTokenId>("id");
  const Rows rows = tx.query(kRevoke, {id, call.now});
  if (rows.empty()) refuse_not_found();
  audit(tx, Actor::of(call.person), rows[0].text("cluster_id"), {"join_token.revoked", id.str()},
        {}, call.now);
  return json_reply(200, to_json(rows[0]));
}

}  // namespace

void add_join_token_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/clusters/{id}/join-tokens",
                    Who::owner,
                    "List join tokens",
                    {{200, "JoinTokenList"}, 404},
                    list,
                    {},
                    {"limit", "cursor"}});
  routes.push_back(Route{"POST",
                         "/v1/clusters/{id}/join-tokens",
                         Who::owner,
                         "Create a join token; the answer shows it once",
                         {{201, "JoinToken"}, 404},
                         create,
                         {{"ttl_s", FieldType::integer, Need::required, 1, kLifeMaxS},
                          {"max_uses", FieldType::integer, Need::optional, 1, kUsesMax},
                          {"scope", FieldType::object, Need::optional}}}
                       .creating()
                       .changing_trust());
  Route end{"POST",
            "/v1/join-tokens/{id}/revoke",
            Who::owner,
            "Revoke a join token",
            {{200, "JoinToken"}, 404},
            revoke};
  routes.push_back(std::move(end));
}

}  // namespace rap::cp
