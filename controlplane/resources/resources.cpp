#include <algorithm>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "contracts/snapshot_limits.hpp"
#include "controlplane/audit/audit.hpp"
#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/nodes/desired.hpp"
#include "controlplane/resources/routes.hpp"
#include "controlplane/roles/rules.hpp"
#include "controlplane/sessions/ending.hpp"

namespace rap::cp {
namespace {

constexpr const char* kOrganizationExists = "select 1 as one from organizations where id = $1";
constexpr const char* kClusterExists =
    "select 1 as one from clusters where id = $1 and status = 'active'";
// Two say that there are several.
constexpr const char* kClusters = "select id from clusters where status = 'active' limit 2";
constexpr const char* kSecretExists =
    "select 1 as one from secrets where organization_id = $1 and id = $2";
constexpr const char* kNameTaken = R"sql(
  select 1 as one from resources
  where organization_id = $1 and name = $2 and id <> $3 and deleted_at is null
)sql";
// Two at once may pass the limit by one each; a node's documents have room for that.
constexpr const char* kUsed = R"sql(
  select count(*) as resources, coalesce(sum(length(target::text) + length(options::text)), 0) as bytes
  from resources where organization_id = $1 and id <> $2 and deleted_at is null
)sql";
constexpr const char* kInsert = R"sql(
  insert into resources (id, organization_id, cluster_id, name, protocol, target, secret_ref, options)
  values ($1, $2, $3, $4, $5, $6, $7, $8)
)sql";
constexpr const char* kGet = R"sql(
  select id, organization_id, cluster_id, name, protocol, target, secret_ref, options, revision,
         created_at, updated_at
  from resources where id = $1 and deleted_at is null
)sql";
constexpr const char* kLock = R"sql(
  select id, organization_id, cluster_id, name, protocol, target, secret_ref, options, revision,
         created_at, updated_at
  from resources where id = $1 and deleted_at is null for update
)sql";
constexpr const char* kList = R"sql(
  select id, organization_id, cluster_id, name, protocol, target, secret_ref, options, revision,
         created_at, updated_at
  from resources where organization_id = $1 and id > $2 and deleted_at is null
  order by id limit $3
)sql";
constexpr const char* kUpdate = R"sql(
  update resources set name = $3, target = $4, secret_ref = $5, options = $6,
         revision = revision + 1, updated_at = $7
  where organization_id = $1 and id = $2
)sql";
constexpr const char* kDelete = R"sql(
  update resources set deleted_at = $3, revision = revision + 1
  where organization_id = $1 and id = $2
)sql";

// Members see what they can open, not where it is.
boost::json::object to_json(const Row& row, bool whole) {
  boost::json::object out;
  for (const char* key : {"id", "organization_id", "name", "protocol"}) out[key] = row.text(key);
  if (!whole) return out;
  out["cluster_id"] = row.text("cluster_id");
  out["target"] = row.json("target");
  out["secret_ref"] = nullptr;
  if (const auto secret = row.text_or_none("secret_ref")) out["secret_ref"] = *secret;
  out["options"] = row.json("options");
  out["created_at"] = to_rfc3339(row.time("created_at"));
  out["updated_at"] = to_rfc3339(row.time("updated_at"));
  return out;
}

OrganizationId visible_organization(const Call& call, Tx& tx) {
  const auto id = call.path_id<OrganizationId>("id");
  if (!call.person.owner && !call.person.is_member(id)) refuse_not_found();
  if (tx.query(kOrganizationExists, {id}).empty()) refuse_not_found();
  tx.enter(Scope::of(id));
  return id;
}

void require_admin(const Call& call, const OrganizationId& organization) {
  if (!call.person.is_admin(organization)) {
    refuse(Errc::forbidden, "only an admin of the organization may do this");
  }
}

void check_target(const Call& call) {
  const auto& target = call.object("target");
  const auto host = json_string_or_none(target, "host");
  const auto port = json_int_or_none(target, "port");
  const auto is_visible = [](char c) { return static_cast<unsigned char>(c) > ' ' && c != 0x7f; };
  if (!host || host->empty() || host->size() > 253 || !std::ranges::all_of(*host, is_visible)) {
    call.bad_field("target", "needs a host of 1 to 253 characters, without spaces");
  }
  if (!port || *port < 1 || *port > 65535) call.bad_field("target", "needs a port, 1 to 65535");
  // What else it held would be sent to nodes that have no use for it.
  if (target.size() != 2) call.bad_field("target", "has host and port only");
}

// The agent leaves out a resource with other options, so nobody gets to make one.
void check_options(const Call& call) {
  if (!parse_json(boost::json::serialize(call.object("options")), kOptionsLimits)) {
    call.bad_field("options", "at most 16 KiB, at most 8 levels deep");
  }
}

// All organizations of a node share its documents: each has its part.
void check_quota(const Call& call, Tx& tx, const OrganizationId& organization,
                 std::string_view self) {
  const Row used = tx.query(kUsed, {organization, self})[0];
  if (static_cast<std::size_t>(used.integer("resources")) >= kOrganizationResourcesMax) {
    refuse(Errc::conflict, "the organization has 1000 resources already; remove one first");
  }
  const std::size_t more = boost::json::serialize(call.object("target")).size() +
                           boost::json::serialize(call.object("options")).size();
  if (static_cast<std::size_t>(used.integer("bytes")) + more > kOrganizationResourceBytesMax) {
    refuse(Errc::conflict, "targets and options of the organization have 1 MiB together already");
  }
}

std::optional<std::string> checked_secret(const Call& call, Tx& tx,
                                          const OrganizationId& organization) {
  if (!call.has("secret_ref")) return std::nullopt;
  const auto secret = call.id<SecretRefId>("secret_ref");
  if (tx.query(kSecretExists, {organization, secret}).empty()) {
    call.bad_field("secret_ref", "is no secret of this organization");
  }
  return secret.str();
}

void check_name(Tx& tx, const OrganizationId& organization, const std::string& name,
                std::string_view self) {
  if (!tx.query(kNameTaken, {organization, name, self}).empty()) {
    refuse(Errc::conflict, "a resource of this name is there already");
  }
}

void audit_change(const Call& call, Tx& tx, const Row& row, const char* kind) {
  boost::json::object detail;
  detail["name"] = row.text("name");
  detail["protocol"] = row.text("protocol");
  audit(tx, Actor::of(call.person), row.text("cluster_id"),
        {kind, row.text("id"), row.text("organization_id")}, detail, call.now);
}

void tell_nodes(Tx& tx, const Row& row) {
  desired_changed_for_organization(tx, require(ClusterId::parse(row.text("cluster_id"))),
                                   require(OrganizationId::parse(row.text("organization_id"))));
}

// Organizations cannot list clusters, and need not when there is no choice.
ClusterId cluster_of(const Call& call, Tx& tx) {
  if (!call.has("cluster_id")) {
    const Rows rows = tx.query(kClusters);
    if (rows.empty()) refuse(Errc::conflict, "there is no cluster yet");
    if (rows.size() > 1) {
      call.bad_field("cluster_id",
                     "is required, there are several clusters; the platform's owner knows the ids");
    }
    return require(ClusterId::parse(rows[0].text("id")));
  }
  const auto cluster = call.id<ClusterId>("cluster_id");
  if (tx.query(kClusterExists, {cluster}).empty()) call.bad_field("cluster_id", "is no cluster");
  return cluster;
}

Reply create(const Call& call, Tx& tx) {
  const auto organization = visible_organization(call, tx);
  require_admin(call, organization);
  const auto cluster = cluster_of(call, tx);
  if (!is_role_name(call.text("protocol") + "-worker")) {
    call.bad_field("protocol", "is of a-z, 0-9 and '-'");
  }
  check_target(call);
  check_options(call);
  check_name(tx, organization, call.text("name"), "");
  check_quota(call, tx, organization, "");
  const auto id = ResourceId::fresh();
  tx.query(kInsert,
           {id, organization, cluster, call.text("name"), call.text("protocol"),
            call.object("target"), checked_secret(call, tx, organization), call.object("options")});
  const Row row = tx.query(kGet, {id})[0];
  tell_nodes(tx, row);
  audit_change(call, tx, row, "resource.created");
  return entity_reply(201, to_json(row, true), row.integer("revision"));
}

Reply list(const Call& call, Tx& tx) {
  const auto organization = visible_organization(call, tx);
  const bool whole = call.person.is_admin(organization);
  const Page page = page_of(call);
  return page_reply(page, tx.query(kList, {organization, page.after, page.fetch()}),
                    [&](const Row& row) { return to_json(row, whole); });
}

// A resource within what the caller may see at all; others do not exist.
Row find(const Call& call, Tx& tx, const char* sql) {
  tx.enter(call.person.scope());
  const Rows rows = tx.query(sql, {call.path_id<ResourceId>("id")});
  if (rows.empty()) refuse_not_found();
  return rows[0];
}

Reply get(const Call& call, Tx& tx) {
  const Row row = find(call, tx, kGet);
  const auto organization = require(OrganizationId::parse(row.text("organization_id")));
  return entity_reply(200, to_json(row, call.person.is_admin(organization)),
                      row.integer("revision"));
}

Reply update(const Call& call, Tx& tx) {
  const Row row = find(call, tx, kLock);
  const auto organization = require(OrganizationId::parse(row.text("organization_id")));
  require_admin(call, organization);
  require_match(call, row.integer("revision"));
  if (call.has("target")) check_target(call);
  check_options(call);
  const std::string name = call.has("name") ? call.text("name") : row.text("name");
  check_name(tx, organization, name, row.text("id"));
  if (call.has("options")) check_quota(call, tx, organization, row.text("id"));
  // secret_ref: null takes the secret away; absent leaves it.
  const auto secret = call.body->contains("secret_ref") ? checked_secret(call, tx, organization)
                                                        : row.text_or_none("secret_ref");
  tx.query(
      kUpdate,
      {organization, row.text("id"), name,
       call.has("target") ? call.object("target") : row.json("target").as_object(), secret,
       call.has("options") ? call.object("options") : row.json("options").as_object(), call.now});
  const Row changed = tx.query(kGet, {row.text("id")})[0];
  tell_nodes(tx, changed);
  audit_change(call, tx, changed, "resource.changed");
  return entity_reply(200, to_json(changed, true), changed.integer("revision"));
}

Reply remove(const Call& call, Tx& tx) {
  const Row row = find(call, tx, kLock);
  const auto organization = require(OrganizationId::parse(row.text("organization_id")));
  require_admin(call, organization);
  tx.query(kDelete, {organization, row.text("id"), call.now});
  tell_nodes(tx, row);
  audit_change(call, tx, row, "resource.removed");
  end_sessions(call, tx, {.organization = organization.str(), .resource = row.text("id")},
               "the resource was removed");
  return no_content();
}

}  // namespace

void add_resource_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/organizations/{id}/resources",
                    Who::person,
                    "List resources; members see name and protocol",
                    {{200, "ResourceList"}, 404},
                    list,
                    {},
                    {"limit", "cursor"}});
  routes.push_back(Route{"POST",
                         "/v1/organizations/{id}/resources",
                         Who::person,
                         "Create a resource",
                         {{201, "Resource"}, 403, 404, 409},
                         create,
                         {text_field("name", 1, 100),
                          text_field("protocol", 1, 30),
                          text_field("cluster_id", 1, 40, Need::optional),
                          {"target", FieldType::object},
                          optional_text("secret_ref", 40),
                          {"options", FieldType::object, Need::optional}}}
                       .creating());
  routes.push_back(
      {"GET", "/v1/resources/{id}", Who::person, "One resource", {{200, "Resource"}, 404}, get});
  routes.push_back({"PATCH",
                    "/v1/resources/{id}",
                    Who::person,
                    "Change a resource",
                    {{200, "Resource"}, 403, 404, 409, 412, 428},
                    update,
                    {text_field("name", 1, 100, Need::optional),
                     {"target", FieldType::object, Need::optional},
                     optional_text("secret_ref", 40),
                     {"options", FieldType::object, Need::optional}}});
  routes.push_back(
      {"DELETE", "/v1/resources/{id}", Who::person, "Remove a resource", {204, 403, 404}, remove});
}

}  // namespace rap::cp
