// Roles that plugins bring.
#pragma once

#include <string>
#include <vector>

#include "controlplane/db/sql.hpp"

namespace rap::cp {

// Declared by releases that Version Storage lists.
std::vector<std::string> release_roles(Tx& tx);

}  // namespace rap::cp
