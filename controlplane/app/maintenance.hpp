// What nobody asks for: reconciliation and forgetting.
#pragma once

#include "base/clock.hpp"
#include "controlplane/db/sql.hpp"

namespace rap::cp {

// One round; of several servers one does it at a time. Sessions that their node no longer mentions
// end, nodes that fell silent are said to be (audited), old heartbeats, keys and tokens go.
// `listening_since`: from when on heartbeats could be heard; nobody is silent before the time that
// makes silent has passed since. Sessions that ended longer than `sessions_kept` ago go, with their
// events, some thousand rows a round.
void run_maintenance(Tx& tx, SystemTime now, SystemTime listening_since,
                     std::chrono::hours sessions_kept);

}  // namespace rap::cp
