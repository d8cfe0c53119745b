// Writing and reading audit events in PostgreSQL.
#pragma once

#include <string>

#include <boost/json/fwd.hpp>

#include "base/id.hpp"
#include "controlplane/http/route.hpp"

namespace rap::cp {

inline constexpr std::string_view kPlatformChain = "platform";

struct Actor {
  std::string_view kind;  // "person", "node", "system"
  std::string id;
  std::string name;

  static Actor of(const Person& person);
  static Actor of(const NodeCaller& node);
  static Actor system() { return {"system", "control-plane", "control-plane"}; }
};

// What happened; docs/control-plane.md lists the kinds.
struct AuditEvent {
  std::string kind;     // "node.approved"
  std::string subject;  // id of what it happened to
  std::string organization_id = {};
};

// Appends to the chain of `cluster` (empty: the platform's) inside `tx`. Locks the chain until the
// transaction ends, so call it late. Never put secrets into `detail`.
void audit(Tx& tx, const Actor& actor, std::string_view cluster, const AuditEvent& event,
           const boost::json::object& detail, SystemTime now);

void add_audit_routes(std::vector<Route>& routes);

}  // namespace rap::cp
