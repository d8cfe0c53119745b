#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/tenancy/routes.hpp"

namespace rap::cp {
namespace {

constexpr const char* kSlugTaken = "select 1 as one from organizations where slug = $1";
constexpr const char* kInsert = R"sql(
  insert into organizations (id, name, slug) values ($1, $2, $3)
  returning id, name, slug, status, revision, created_at
)sql";
// Who creates an organization is its first admin: visible in the list of members, and removable.
constexpr const char* kFirstAdmin = R"sql(
  insert into memberships (id, organization_id, user_id, role) values ($1, $2, $3, 'admin')
)sql";
constexpr const char* kGet = R"sql(
  select id, name, slug, status, revision, created_at from organizations where id = $1
)sql";
constexpr const char* kList = R"sql(
  select id, name, slug, status, revision, created_at from organizations
  where id > $1 and ($2 or id = any ($3::text[])) order by id limit $4
)sql";

boost::json::object to_json(const Row& row) {
  boost::json::object out;
  for (const char* key : {"id", "name", "slug", "status"}) out[key] = row.text(key);
  out["created_at"] = to_rfc3339(row.time("created_at"));
  return out;
}

Reply create(const Call& call, Tx& tx) {
  if (!tx.query(kSlugTaken, {call.text("slug")}).empty()) {
    refuse(Errc::conflict, "an organization with this slug exists");
  }
  const auto id = OrganizationId::fresh();
  tx.enter(Scope::of(id));
  const Rows rows = tx.query(kInsert, {id, call.text("name"), call.text("slug")});
  tx.query(kFirstAdmin, {MembershipId::fresh(), id, call.person.id});
  boost::json::object detail;
  detail["name"] = call.text("name");
  audit(tx, Actor::of(call.person), "", {"organization.created", id.str(), id.str()}, detail,
        call.now);
  return entity_reply(201, to_json(rows[0]), rows[0].integer("revision"));
}

Reply list(const Call& call, Tx& tx) {
  const Page page = page_of(call);
  std::vector<std::string> mine;
  for (const auto& membership : call.person.memberships) {
    mine.push_back(membership.organization.str());
  }
  return page_reply(page, tx.query(kList, {page.after, call.person.owner, mine, page.fetch()}),
                    to_json);
}

Reply get(const Call& call, Tx& tx) {
  const auto id = call.path_id<OrganizationId>("id");
  const Rows rows = tx.query(kGet, {id});
  if (rows.empty() || (!call.person.owner && !call.person.is_member(id))) refuse_not_found();
  return entity_reply(200, to_json(rows[0]), rows[0].integer("revision"));
}

}  // namespace

void add_organization_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/organizations",
                    Who::person,
                    "List organizations: an owner sees all, others their own",
                    {{200, "OrganizationList"}},
                    list,
                    {},
                    {"limit", "cursor"}});
  routes.push_back(Route{"POST",
                         "/v1/organizations",
                         Who::owner,
                         "Create an organization; who creates it is its first admin",
                         {{201, "Organization"}, 409},
                         create,
                         {text_field("name"), {"slug", FieldType::slug}}}
                       .creating());
  routes.push_back({"GET",
                    "/v1/organizations/{id}",
                    Who::person,
                    "One organization",
                    {{200, "Organization"}, 404},
                    get});
}

}  // namespace rap::cp
