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
// May a new account be called so? 1 to 100 of a-z, 0-9, '.', '_', '-', '+' and '@', a letter or
// digit first: what can be typed, told apart in a log line, and given to a command without quotes.
// Of a normal one.
bool is_login(std::string_view normal);
inline constexpr std::string_view kLoginRule =
    "1 to 100 of a-z, 0-9, '.', '_', '-', '+' and '@', a letter or digit first";

void add_auth_routes(std::vector<Route>& routes);
void add_password_routes(std::vector<Route>& routes);

}  // namespace rap::cp
