// The text an owner hands to a new node (docs/contracts/identity.md).
#pragma once

#include <string>
#include <string_view>

#include "base/crypto.hpp"
#include "base/result.hpp"

namespace rap::agent {

struct JoinToken {
  std::string id;
  Sha256Digest pin{};    // of the platform CA's key
  std::string pin_text;  // the same, as in the token
};

// `rapjoin1.<id>.<secret>.<pin>`, white space around it ignored. Fails with `malformed`, saying
// what is wrong without repeating the text.
Result<JoinToken> parse_join_token(std::string_view text);

// base64url of 32 bytes, as stored with the identity.
Result<Sha256Digest> parse_pin(std::string_view text);

std::string_view trim(std::string_view text);

}  // namespace rap::agent
