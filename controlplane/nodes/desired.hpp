// Telling nodes, through whichever server they are connected to, that something concerns them.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/id.hpp"
#include "base/net/event.hpp"
#include "controlplane/db/sql.hpp"

namespace rap::cp {

// In the transaction of the change: raises the node's desired_seq and wakes its long poll when the
// transaction commits.
void desired_changed(Tx& tx, const NodeId& node);
void desired_changed_in_cluster(Tx& tx, const ClusterId& cluster);
// Those nodes that hold an active assignment which may serve the organization.
void desired_changed_for_organization(Tx& tx, const ClusterId& cluster,
                                      const OrganizationId& organization);
void desired_changed_everywhere(Tx& tx);

// Closes the node's open connections to every server when the transaction commits.
void close_node_connections(Tx& tx, const NodeId& node);

// Who waits for which node. On one executor.
class NodeSignals {
 public:
  explicit NodeSignals(net::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  // Take it before looking at the database, wait on it after: nothing is missed in between.
  std::shared_ptr<net::Event> subscribe(const std::string& node);
  void wake(const std::string& node);
  // After notifications may have been lost.
  void wake_all();

 private:
  net::asio::any_io_executor executor_;
  std::map<std::string, std::weak_ptr<net::Event>> events_;
};

}  // namespace rap::cp
