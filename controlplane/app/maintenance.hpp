// What nobody asks for: reconciliation and forgetting.
#pragma once

#include "base/clock.hpp"
#include "controlplane/db/sql.hpp"

namespace rap::cp {

// One round; of several servers one does it at a time. Sessions that their node no longer mentions
// end, nodes that fell silent are said to be (audited), old heartbeats, keys and tokens go.
void run_maintenance(Tx& tx, SystemTime now);

}  // namespace rap::cp
