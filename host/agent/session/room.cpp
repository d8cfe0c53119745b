#include "host/agent/session/room.hpp"

#include <string>

namespace rap::agent {

int share_of_organization(int sessions_max, std::size_t organizations) {
  return organizations > 1 ? sessions_max - sessions_max / 2 : sessions_max;
}

Status check_room(const Room& room) {
  if (room.held >= room.sessions_max) {
    return fail(Errc::exhausted, "this node has " + std::to_string(room.sessions_max) +
                                     " sessions, which is its limit");
  }
  const int share = share_of_organization(room.sessions_max, room.organizations);
  if (room.of_organization >= share) {
    return fail(Errc::exhausted,
                "this organization has " + std::to_string(share) +
                    " sessions on this node, its share of a node that others use too");
  }
  return {};
}

}  // namespace rap::agent
