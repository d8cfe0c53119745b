#include "controlplane/enrollment/rules.hpp"

#include <algorithm>

namespace rap::cp {
namespace {

constexpr std::string_view kPrefix = "rapjoin1.";
constexpr std::string_view kCopyAgain =
    "not a join token; copy the whole line that begins with rapjoin1.";

std::string_view take_part(std::string_view& text) {
  const auto dot = text.find('.');
  const std::string_view part = text.substr(0, dot);
  text = dot == std::string_view::npos ? std::string_view() : text.substr(dot + 1);
  return part;
}

}  // namespace

std::string make_join_token(const JoinTokenText& token) {
  return std::string(kPrefix) + token.id.str() + "." + to_base64url(token.secret) + "." +
         to_base64url(token.pin);
}

Result<JoinTokenText> parse_join_token(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  if (text.size() > 200 || !text.starts_with(kPrefix) || std::ranges::count(text, '.') != 3) {
    return fail(Errc::malformed, std::string(kCopyAgain));
  }
  text.remove_prefix(kPrefix.size());
  auto id = JoinTokenId::parse(take_part(text));
  auto secret = from_base64url(take_part(text));
  auto pin = from_base64url(take_part(text));
  if (!id || !secret || !pin || secret->size() != 32 || pin->size() != 32) {
    return fail(Errc::malformed, std::string(kCopyAgain));
  }
  JoinTokenText token{std::move(*id), std::move(*secret), {}};
  std::ranges::copy(*pin, token.pin.begin());
  return token;
}

Status check_redemption(const JoinTokenState& token, const std::vector<std::string>& roles,
                        SystemTime now) {
  if (token.revoked) return fail(Errc::forbidden, "the join token was revoked; ask for a new one");
  if (now >= token.expires_at) {
    return fail(Errc::expired, "the join token expired at " + to_rfc3339(token.expires_at) +
                                   "; ask for a new one (and check this node's clock)");
  }
  if (token.used >= token.max_uses) {
    return fail(Errc::exhausted,
                "the join token was used as often as it may be; ask for a new one");
  }
  for (const std::string& role : roles) {
    if (!token.scope_roles.empty() &&
        std::ranges::find(token.scope_roles, role) == token.scope_roles.end()) {
      return fail(Errc::forbidden, "the join token is not for nodes that ask for role " + role);
    }
  }
  return {};
}

Result<KeyVerdict> judge_key(const std::optional<KnownKey>& known, std::string_view token_id,
                             std::string_view node_name) {
  if (!known) return KeyVerdict::new_request;
  if (known->holder == KnownKey::Holder::revoked) {
    return fail(Errc::forbidden,
                "the node with this key was revoked; remove its state and enroll with a new key");
  }
  using Request = KnownKey::Request;
  const bool same = known->request != Request::none && known->token_id == token_id &&
                    known->node_name == node_name;
  const bool lapsed = known->holder == KnownKey::Holder::lapsed;
  if (same && !(lapsed && known->request == Request::approved)) return KeyVerdict::same_request;
  if (lapsed && known->request != Request::pending) return KeyVerdict::renewal;
  if (known->request == Request::rejected && known->holder == KnownKey::Holder::nobody) {
    return KeyVerdict::new_request;
  }
  if (known->request == Request::pending && known->node_name == node_name) {
    return fail(Errc::conflict,
                "a request with this key and another join token waits for a decision; an owner "
                "decides it first (rapctl join-request list)");
  }
  return fail(Errc::conflict,
              "another node or request already uses this key; each node makes its own: remove the "
              "copied state and enroll again");
}

bool is_node_name(std::string_view name) {
  const auto at_ends = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !name.empty() && name.size() <= 63 && at_ends(name.front()) && at_ends(name.back()) &&
         std::ranges::all_of(name, [&](char c) { return at_ends(c) || c == '.' || c == '-'; });
}

}  // namespace rap::cp
