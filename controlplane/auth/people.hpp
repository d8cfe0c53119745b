// Sessions of people: login, logout, who calls.
#pragma once

#include <optional>
#include <string_view>

#include "controlplane/http/route.hpp"

namespace rap::cp {

inline constexpr std::chrono::hours kLoginLife{12};

// A token as it is shown and revoked; who has it cannot log in with it.
struct PersonTokenKind {
  static constexpr std::string_view prefix = "ust_";
};
using PersonTokenId = Id<PersonTokenKind>;

// The person of "Bearer rapses1...", and the authority's state. Refuses with 401.
void authenticate_person(Call& call, Tx& tx);

// Lower case and trimmed, as logins are stored.
std::string normal_login(std::string_view text);

void add_auth_routes(std::vector<Route>& routes);
void add_password_routes(std::vector<Route>& routes);

}  // namespace rap::cp
