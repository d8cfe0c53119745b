// Capabilities of a node in PostgreSQL.
#pragma once

#include <vector>

#include "base/id.hpp"
#include "controlplane/db/sql.hpp"
#include "controlplane/enrollment/capabilities.hpp"

namespace rap::cp {

// Replaces what the node can do by what it says now.
void store_capabilities(Tx& tx, const NodeId& node, const std::vector<Capability>& capabilities);

}  // namespace rap::cp
