#include "controlplane/nodes/desired.hpp"

namespace rap::cp {
namespace {

constexpr const char* kNode = R"sql(
  with raised as (update nodes set desired_seq = desired_seq + 1 where id = $1 returning id)
  select pg_notify('rap_desired', id) from raised
)sql";
constexpr const char* kCluster = R"sql(
  with raised as (
    update nodes set desired_seq = desired_seq + 1
    where id in (select node_id from cluster_memberships where cluster_id = $1) returning id)
  select pg_notify('rap_desired', id) from raised
)sql";
constexpr const char* kOrganization = R"sql(
  with raised as (
    update nodes set desired_seq = desired_seq + 1
    where id in (select node_id from node_role_assignments
                 where cluster_id = $1 and status = 'active'
                   and (organization_id is null or organization_id = $2)) returning id)
  select pg_notify('rap_desired', id) from raised
)sql";
constexpr const char* kAll = R"sql(
  with raised as (
    update nodes set desired_seq = desired_seq + 1 where enrollment_status = 'approved' returning id)
  select pg_notify('rap_desired', id) from raised
)sql";
constexpr const char* kClose = "select pg_notify('rap_close', $1)";

}  // namespace

void desired_changed(Tx& tx, const NodeId& node) {
  tx.query(kNode, {node});
}
void desired_changed_in_cluster(Tx& tx, const ClusterId& cluster) {
  tx.query(kCluster, {cluster});
}
void desired_changed_for_organization(Tx& tx, const ClusterId& cluster,
                                      const OrganizationId& organization) {
  tx.query(kOrganization, {cluster, organization});
}
void desired_changed_everywhere(Tx& tx) {
  tx.query(kAll);
}
void close_node_connections(Tx& tx, const NodeId& node) {
  tx.query(kClose, {node});
}

std::shared_ptr<net::Event> NodeSignals::subscribe(const std::string& node) {
  if (auto existing = events_[node].lock(); existing && !existing->is_set()) return existing;
  auto fresh = std::make_shared<net::Event>(executor_);
  events_[node] = fresh;
  return fresh;
}

void NodeSignals::wake(const std::string& node) {
  const auto it = events_.find(node);
  if (it == events_.end()) return;
  if (const auto event = it->second.lock()) event->set();
  events_.erase(it);
}

void NodeSignals::wake_all() {
  auto all = std::exchange(events_, {});
  for (auto& [node, weak] : all) {
    if (const auto event = weak.lock()) event->set();
  }
}

}  // namespace rap::cp
