// The first root of a cluster's director, and the signatures of R's `trust` role that it collects.
#pragma once

#include <string>

#include "base/id.hpp"
#include "controlplane/db/sql.hpp"

namespace rap::cp {

// D root version 1 with the signatures it has now: changes when owners bring more. Throws
// std::runtime_error when there is none, which is a fault of the installation.
std::string director_root(Tx& tx, const ClusterId& cluster);

// Refuses (409) what would make a node that must refuse this root. Does nothing as long as this
// control plane has not read Version Storage: then the node's own check is the only one.
void require_countersigned(Tx& tx, const ClusterId& cluster);

}  // namespace rap::cp
