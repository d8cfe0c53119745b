#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "controlplane/audit/audit.hpp"
#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/secrets/routes.hpp"
#include "controlplane/secrets/sealer.hpp"

namespace rap::cp {
namespace {

// A private key with comments, not a file store.
constexpr std::int64_t kValueMax = 64 * 1024;

constexpr const char* kOrganizationExists = "select 1 as one from organizations where id = $1";
constexpr const char* kNameTaken =
    "select 1 as one from secrets where organization_id = $1 and name = $2";
constexpr const char* kInsert = R"sql(
  insert into secrets (id, organization_id, name, sealed_value, created_by_user_id, created_at)
  values ($1, $2, $3, $4, $5, $6)
)sql";
constexpr const char* kList = R"sql(
  select id, organization_id, name, created_by_user_id, created_at from secrets
  where organization_id = $1 and id > $2 order by id limit $3
)sql";
constexpr const char* kById = "select id, organization_id, name from secrets where id = $1";
constexpr const char* kInUse = R"sql(
  select name from resources where organization_id = $1 and secret_ref = $2 and deleted_at is null
  limit 1
)sql";
constexpr const char* kForget = R"sql(
  update resources set secret_ref = null
  where organization_id = $1 and secret_ref = $2 and deleted_at is not null
)sql";
constexpr const char* kDelete = "delete from secrets where organization_id = $1 and id = $2";
// The session must be on the calling node, not over, and its resource must name the secret.
constexpr const char* kForSession = R"sql(
  select s.organization_id, s.cluster_id, s.node_id, s.state, r.secret_ref, x.sealed_value
  from sessions s
  join resources r on r.id = s.resource_id and r.organization_id = s.organization_id
  join secrets x on x.id = r.secret_ref and x.organization_id = s.organization_id
  where s.id = $1 and x.id = $2
)sql";

std::string context_of(std::string_view organization, std::string_view id) {
  return "secret|" + std::string(organization) + "|" + std::string(id);
}

boost::json::object to_json(const Row& row) {
  boost::json::object out;
  for (const char* key : {"id", "organization_id", "name", "created_by_user_id"}) {
    out[key] = row.text(key);
  }
  out["created_at"] = to_rfc3339(row.time("created_at"));
  return out;
}

OrganizationId administered(const Call& call, Tx& tx) {
  const auto id = call.path_id<OrganizationId>("id");
  if (!call.person.owner && !call.person.is_member(id)) refuse_not_found();
  if (tx.query(kOrganizationExists, {id}).empty()) refuse_not_found();
  if (!call.person.is_admin(id))
    refuse(Errc::forbidden, "only an admin of the organization may do this");
  tx.enter(Scope::of(id));
  return id;
}

Reply create(const Call& call, Tx& tx) {
  const auto organization = administered(call, tx);
  const std::string name = call.text("name");
  if (!tx.query(kNameTaken, {organization, name}).empty()) {
    refuse(Errc::conflict, "a secret of this name is there already");
  }
  const auto id = SecretRefId::fresh();
  const Secret value(call.text("value"));
  tx.query(kInsert,
           {id, organization, name,
            call.services->sealer.seal(value.bytes(), context_of(organization.str(), id.str())),
            call.person.id, call.now});
  boost::json::object detail;
  detail["name"] = name;
  audit(tx, Actor::of(call.person), "", {"secret.created", id.str(), organization.str()}, detail,
        call.now);
  boost::json::object body;
  body["id"] = id.str();
  body["organization_id"] = organization.str();
  body["name"] = name;
  body["created_by_user_id"] = call.person.id.str();
  body["created_at"] = to_rfc3339(call.now);
  return json_reply(201, body);
}

Reply list(const Call& call, Tx& tx) {
  const auto organization = administered(call, tx);
  const Page page = page_of(call);
  return page_reply(page, tx.query(kList, {organization, page.after, page.fetch()}), to_json);
}

Reply remove(const Call& call, Tx& tx) {
  tx.enter(call.person.scope());
  const auto id = call.path_id<SecretRefId>("id");
  const Rows rows = tx.query(kById, {id});
  if (rows.empty()) refuse_not_found();
  const auto organization = require(OrganizationId::parse(rows[0].text("organization_id")));
  if (!call.person.is_admin(organization)) {
    refuse(Errc::forbidden, "only an admin of the organization may do this");
  }
  const Rows user = tx.query(kInUse, {organization, id});
  if (!user.empty()) {
    refuse(Errc::conflict, "the resource " + user[0].text("name") + " uses it");
  }
  tx.query(kForget, {organization, id});
  tx.query(kDelete, {organization, id});
  boost::json::object detail;
  detail["name"] = rows[0].text("name");
  audit(tx, Actor::of(call.person), "", {"secret.removed", id.str(), organization.str()}, detail,
        call.now);
  return no_content();
}

Reply resolve(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  const auto session = call.id<SessionId>("session_id");
  const auto secret = call.id<SecretRefId>("secret_ref");
  const Rows rows = tx.query(kForSession, {session, secret});
  // One answer for no such session, another node's, and another resource's secret.
  if (rows.empty() || rows[0].text("node_id") != call.node.id.str()) refuse_not_found();
  const std::string state = rows[0].text("state");
  if (state == "closed" || state == "failed") refuse(Errc::forbidden, "the session is over");
  if (call.node.disabled) refuse(Errc::forbidden, "this node is disabled: it gets no secrets");
  const std::string organization = rows[0].text("organization_id");
  const Secret value = require(call.services->sealer.open(rows[0].bytes("sealed_value"),
                                                          context_of(organization, secret.str())));
  boost::json::object detail;
  detail["session_id"] = session.str();
  audit(tx, Actor::of(call.node), rows[0].text("cluster_id"),
        {"secret.resolved", secret.str(), organization}, detail, call.now);
  boost::json::object body;
  std::string text = to_base64(value.bytes());
  body["value"] = text;
  wipe(text);
  return json_reply(200, body);
}

}  // namespace

void add_secret_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/organizations/{id}/secrets",
                    Who::person,
                    "List secrets, without values",
                    {{200, "SecretList"}, 403, 404},
                    list,
                    {},
                    {"limit", "cursor"}});
  routes.push_back(Route{"POST",
                         "/v1/organizations/{id}/secrets",
                         Who::person,
                         "Store a secret; its value is never shown again",
                         {{201, "Secret"}, 403, 404, 409},
                         create,
                         {text_field("name", 1, 100), lines_field("value", 1, kValueMax)}}
                       .creating());
  routes.push_back({"DELETE",
                    "/v1/secrets/{id}",
                    Who::person,
                    "Remove a secret nobody uses",
                    {204, 403, 404, 409},
                    remove});
  routes.push_back({"POST",
                    "/v1/node/secrets/resolve",
                    Who::node,
                    "The value of a secret, for a session on this node",
                    {{200, "SecretValue"}, 404},
                    resolve,
                    {text_field("session_id", 1, 40), text_field("secret_ref", 1, 40)}});
}

}  // namespace rap::cp
