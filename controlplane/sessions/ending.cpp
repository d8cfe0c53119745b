#include "controlplane/sessions/ending.hpp"

#include <set>

#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/nodes/desired.hpp"

namespace rap::cp {
namespace {

// In order of id, as everything that locks several sessions does.
constexpr const char* kLive = R"sql(
  select id, node_id, cluster_id, organization_id from sessions
  where state not in ('closing', 'closed', 'failed')
    and ($1 = '' or organization_id = $1) and ($2 = '' or assignment_id = $2)
    and ($3 = '' or resource_id = $3) and ($4 = '' or user_id = $4)
  order by id for update
)sql";
constexpr const char* kEnd = R"sql(
  update sessions set state = 'closing', close_requested_by = $2, updated_at = $3,
         revision = revision + 1
  where id = any (string_to_array($1, ','))
)sql";

}  // namespace

void end_sessions(const Call& call, Tx& tx, const SessionsOf& which, const std::string& reason) {
  const Rows rows =
      tx.query(kLive, {which.organization, which.assignment, which.resource, which.user});
  if (rows.empty()) return;
  std::string ids;
  std::set<std::string> nodes;
  for (const Row& row : rows) {
    ids += (ids.empty() ? "" : ",") + row.text("id");
    nodes.insert(row.text("node_id"));
  }
  tx.query(kEnd, {ids, call.person.display_name, call.now});
  for (const std::string& node : nodes) desired_changed(tx, require(NodeId::parse(node)));
  for (const Row& row : rows) {
    boost::json::object detail;
    detail["reason"] = reason;
    audit(tx, Actor::of(call.person), row.text("cluster_id"),
          {"session.terminated", row.text("id"), row.text("organization_id")}, detail, call.now);
  }
}

}  // namespace rap::cp
