// Ending people's attachments to sessions that go on: those of colleagues.
#pragma once

#include <string>
#include <vector>

#include "controlplane/http/call.hpp"

namespace rap::cp {

// In the transaction of the change: `user` must not be attached any more to live sessions of these
// organizations. Their nodes are told at once, and again until the session is over. Locks those
// sessions; before an audit event and before end_sessions().
void detach_person(Tx& tx, const UserId& user, const std::vector<std::string>& organizations,
                   SystemTime now);
// They are back: what was wished is not any more.
void may_attach_again(Tx& tx, const UserId& user, const std::vector<std::string>& organizations);

// The caller is still a member and may log in, and stays so until the transaction ends: who takes
// that away waits, and sees what was granted. False otherwise. Before a session is locked.
bool hold_membership(const Call& call, Tx& tx, const OrganizationId& organization);

}  // namespace rap::cp
