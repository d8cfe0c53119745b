// Capabilities of a node in PostgreSQL.
#pragma once

#include <string>
#include <vector>

#include "controlplane/db/sql.hpp"
#include "controlplane/enrollment/capabilities.hpp"

namespace rap::cp {

struct CapabilitiesOf {
  std::string node_id;
  const std::vector<Capability>* capabilities;
};

// Replaces what these nodes can do by what each says now; what is equal is not written. Each node
// at most once.
void store_capabilities(Tx& tx, const std::vector<CapabilitiesOf>& nodes);

}  // namespace rap::cp
