// How many sessions a node holds at a time, and how many of them one organization may hold. Pure.
#pragma once

#include <cstddef>

#include "base/result.hpp"

namespace rap::agent {

struct Room {
  int sessions_max = 0;           // limits.sessions_max of agent.yaml
  std::size_t organizations = 1;  // whose resources this node serves
  int held = 0;                   // sessions here, those that are just being opened too
  int of_organization = 0;        // of them, the ones of the organization that asks
};

// Places that one organization may hold: all of them on a node of its own. On a shared one half,
// rounded up: then no single one keeps the others out, and two that are busy at different hours
// still use most of the node. A strict part for each would leave most places empty.
int share_of_organization(int sessions_max, std::size_t organizations);

// May one more be opened? `exhausted`, saying which of the two limits it is. What other
// organizations hold is not in the text.
Status check_room(const Room& room);

}  // namespace rap::agent
