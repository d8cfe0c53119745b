// The tokens with which people are logged in: seen and revoked.
#pragma once

#include "controlplane/http/route.hpp"

namespace rap::cp {

// Ends every token of `user` but the one with the hash `except` (empty: none is spared); returns
// how many were in force.
std::int64_t revoke_tokens(Tx& tx, const UserId& user, const Bytes& except, SystemTime now);

void add_token_routes(std::vector<Route>& routes);

}  // namespace rap::cp
