#include "controlplane/sessions/detaching.hpp"

#include <set>

#include "controlplane/nodes/desired.hpp"

namespace rap::cp {
namespace {

// Locks the sessions, in the order that everything does, before it tells their nodes.
constexpr const char* kDetach = R"sql(
  with live as materialized (
    select id, organization_id, node_id from sessions
    where state not in ('closed', 'failed') and organization_id = any ($2::text[])
    order by id for update
  )
  insert into session_detachments (session_id, user_id, organization_id, node_id, requested_at)
  select id, $1, organization_id, node_id, $3 from live
  on conflict (session_id, user_id) do update set requested_at = excluded.requested_at
  returning node_id
)sql";
constexpr const char* kAgain = R"sql(
  delete from session_detachments where user_id = $1 and organization_id = any ($2::text[])
  returning node_id
)sql";
constexpr const char* kHold = R"sql(
  select 1 as one from memberships m join users u on u.id = m.user_id
  where m.organization_id = $1 and m.user_id = $2 and u.status = 'active'
  for share of m, u
)sql";

void tell(Tx& tx, const Rows& rows) {
  std::set<std::string> nodes;
  for (const Row& row : rows) nodes.insert(row.text("node_id"));
  for (const std::string& node : nodes) desired_changed(tx, require(NodeId::parse(node)));
}

}  // namespace

void detach_person(Tx& tx, const UserId& user, const std::vector<std::string>& organizations,
                   SystemTime now) {
  tell(tx, tx.query(kDetach, {user, organizations, now}));
}

void may_attach_again(Tx& tx, const UserId& user, const std::vector<std::string>& organizations) {
  tell(tx, tx.query(kAgain, {user, organizations}));
}

bool hold_membership(const Call& call, Tx& tx, const OrganizationId& organization) {
  return !tx.query(kHold, {organization, call.person.id}).empty();
}

}  // namespace rap::cp
