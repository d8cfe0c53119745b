// Who may join: rules over values, no I/O.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/crypto.hpp"
#include "base/id.hpp"
#include "base/result.hpp"

namespace rap::cp {

// "rapjoin1.<token id>.<secret>.<pin>", docs/contracts/identity.md.
struct JoinTokenText {
  JoinTokenId id;
  Bytes secret;  // 32 bytes
  Sha256Digest pin{};
};
std::string make_join_token(const JoinTokenText& token);
// `malformed` with what to do about it.
Result<JoinTokenText> parse_join_token(std::string_view text);

struct JoinTokenState {
  SystemTime expires_at{};
  bool revoked = false;
  std::int64_t used = 0;
  std::int64_t max_uses = 0;
  std::vector<std::string> scope_roles;  // empty: any
};

// May the token make one more join request? `forbidden` (revoked; a role outside its scope),
// `expired`, `exhausted` (used up).
Status check_redemption(const JoinTokenState& token, const std::vector<std::string>& roles,
                        SystemTime now);

// What is already known about the public key that a request brings.
struct KnownKey {
  std::string token_id;   // of the last request that brought it
  std::string node_name;  // as it called itself then
  enum class Request { none, pending, approved, rejected } request = Request::none;
  // The node that has the key, if any. `lapsed`: its last certificate has ended, and no approval
  // waits to be fetched.
  enum class Holder { nobody, node, lapsed, revoked } holder = Holder::nobody;
};
// `renewal`: a new request, but of a node that exists.
enum class KeyVerdict { same_request, new_request, renewal };
// The same key with the same token and name is the same request, again, until the certificate that
// came of it has ended: from then on the node must redeem a good token and be approved anew.
// `forbidden` for the key of a revoked node; `conflict` for a key that another request or node
// holds: two nodes never share one.
Result<KeyVerdict> judge_key(const std::optional<KnownKey>& known, std::string_view token_id,
                             std::string_view node_name);

// As an agent's own configuration takes it: 1 to 63 of A-Z, a-z, 0-9, '.', '-', the last two not at
// the ends.
bool is_node_name(std::string_view name);

}  // namespace rap::cp
