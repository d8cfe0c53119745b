// Who has to hear of a change in the mesh: one look at the whole cluster for many changes.
#pragma once

#include <chrono>
#include <optional>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "controlplane/db/sql.hpp"

namespace rap::cp {

// What others wait for (a node that came or went, a right that was taken) is told in the next round
// of maintenance; what only makes paths better waits for more of its kind.
enum class Urgency { now, soon };

// In the transaction of a change that directories show. Cheap: one row of the cluster. Call it
// after what locks nodes and before audit(): that is the order of every transaction here.
void mesh_changed(Tx& tx, const ClusterId& cluster, Urgency urgency, SystemTime now);

// A cluster that is due, in a transaction of its own; nullopt: none is. What is changed from then
// on is the next round's, so the round has to follow.
std::optional<ClusterId> next_mesh_round(Tx& tx, SystemTime now);

// Makes what each node's directory says, compares with what the node was woken for last, and wakes
// those where it is another. The work is one reading of the cluster however many nodes poll; nodes
// that see nothing of the change are not woken.
// `now` is that of next_mesh_round().
void run_mesh_round(Tx& tx, const ClusterId& cluster, SystemTime now);

}  // namespace rap::cp
