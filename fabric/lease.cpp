#include "fabric/lease.hpp"

#include <boost/json.hpp>

#include "base/json.hpp"

namespace rap::fabric {

namespace {

namespace json = boost::json;

constexpr JwsKind kKind{"rap-lease+jwt", "lease"};
// base64url of 16 bytes.
constexpr std::size_t kLeaseIdChars = 22;

ClaimTimes times_of(const LeaseClaims& claims) {
  return {claims.issued_at, claims.expires_at};
}

bool is_lease_id(std::string_view text) {
  if (text.size() != kLeaseIdChars) return false;
  const auto decoded = from_base64url(text);
  return decoded && decoded->size() == 16;
}

// What every lease fulfils, whoever made it.
Status check_claims(const LeaseClaims& claims) {
  const std::pair<const std::string*, std::string_view> texts[] = {
      {&claims.issuer, "iss"},      {&claims.audience, "aud"},   {&claims.user_id, "sub"},
      {&claims.user_name, "name"},  {&claims.session_id, "sid"}, {&claims.organization_id, "org"},
      {&claims.resource_id, "res"},
  };
  for (const auto& [text, claim] : texts) {
    const Status status = check_claim_text(*text, claim);
    if (!status) return status;
  }
  if (!is_lease_id(claims.lease_id)) return fail(Errc::invalid, "jti: not 128 bits");
  return check_claim_life(times_of(claims), kLeaseLifeMaxS);
}

Result<LeaseClaims> read_claims(const json::object& object) {
  LeaseClaims out;
  const std::pair<std::string*, std::string_view> texts[] = {
      {&out.issuer, "iss"},          {&out.audience, "aud"},    {&out.user_id, "sub"},
      {&out.user_name, "name"},      {&out.lease_id, "jti"},    {&out.session_id, "sid"},
      {&out.organization_id, "org"}, {&out.resource_id, "res"},
  };
  for (const auto& [text, claim] : texts) {
    auto value = json_string(object, claim);
    if (!value) return fail(value.error());
    *text = std::move(*value);
  }
  const auto times = read_claim_times(object);
  if (!times) return fail(times.error());
  out.issued_at = times->issued_at;
  out.expires_at = times->expires_at;

  auto verb = json_string(object, "verb");
  if (!verb) return fail(verb.error());
  if (*verb != "open" && *verb != "attach") return fail(Errc::invalid, "verb");
  out.verb = *verb == "open" ? LeaseVerb::open : LeaseVerb::attach;
  auto mode = json_string(object, "mode");
  if (!mode) return fail(mode.error());
  if (*mode != "control" && *mode != "view") return fail(Errc::invalid, "mode");
  out.mode = *mode == "control" ? LeaseMode::control : LeaseMode::view;

  const auto confirmation = read_confirmation(object);
  if (!confirmation) return fail(confirmation.error());
  out.client_certificate_sha256 = *confirmation;
  const Status status = check_claims(out);
  if (!status) return fail(status.error());
  return out;
}

}  // namespace

json::object lease_claims_to_json(const LeaseClaims& claims) {
  json::object out;
  out["iss"] = claims.issuer;
  out["aud"] = claims.audience;
  out["sub"] = claims.user_id;
  out["name"] = claims.user_name;
  out["jti"] = claims.lease_id;
  out["iat"] = claims.issued_at;
  out["nbf"] = claims.issued_at;
  out["exp"] = claims.expires_at;
  out["sid"] = claims.session_id;
  out["org"] = claims.organization_id;
  out["res"] = claims.resource_id;
  out["verb"] = claims.verb == LeaseVerb::open ? "open" : "attach";
  out["mode"] = claims.mode == LeaseMode::control ? "control" : "view";
  out["cnf"] = confirmation_of(claims.client_certificate_sha256);
  return out;
}

Result<LeaseClaims> lease_claims_from_json(const json::object& object) {
  return read_claims(object);
}

Result<std::string> mint_lease(const LeaseClaims& wanted, ByteView private_key_raw) {
  LeaseClaims claims = wanted;
  if (claims.lease_id.empty()) claims.lease_id = to_base64url(random_bytes(16));
  const Status status = check_claims(claims);
  if (!status) return fail(status.error(), "lease");
  return sign_jws(kKind, json::serialize(lease_claims_to_json(claims)), private_key_raw);
}

Result<LeaseVerifier> LeaseVerifier::create(std::string issuer, std::string audience,
                                            const std::vector<LeaseKey>& keys) {
  if (issuer.empty() || audience.empty()) return fail(Errc::invalid, "lease: issuer, audience");
  LeaseVerifier out;
  out.issuer_ = std::move(issuer);
  out.audience_ = std::move(audience);
  auto checked = JwsKeys::create(keys);
  if (!checked) return fail(checked.error());
  out.keys_ = std::move(*checked);
  return out;
}

Result<LeaseClaims> LeaseVerifier::verify(std::string_view jws,
                                          const Sha256Digest& client_certificate_sha256,
                                          SystemTime now) const {
  const auto payload = keys_.open(kKind, jws);
  if (!payload) return fail(payload.error());
  auto claims = read_claims(*payload);
  if (!claims) return fail(Errc::malformed, "lease: " + claims.error().detail);

  if (claims->issuer != issuer_) return fail(Errc::mismatch, "lease: of another cluster");
  if (claims->audience != audience_)
    return fail(Errc::mismatch, "lease: for another node or service");
  if (!equal_constant_time(claims->client_certificate_sha256, client_certificate_sha256)) {
    return fail(Errc::mismatch, "lease: bound to another client certificate");
  }
  const Status in_time = check_claim_time(kKind, times_of(*claims), now);
  if (!in_time) return fail(in_time.error());
  return claims;
}

Status LeaseReplayGuard::use(const LeaseClaims& claims, SystemTime now) {
  forget_expired(to_unix_seconds(now));
  if (used_.contains(claims.lease_id)) return fail(Errc::conflict, "lease: used before");
  if (used_.size() >= entries_max_) return fail(Errc::exhausted, "lease: too many at once");
  const std::int64_t forget_after = claims.expires_at + kLeaseClockSlackS;
  used_.emplace(claims.lease_id, forget_after);
  by_expiry_.emplace(forget_after, claims.lease_id);
  return {};
}

void LeaseReplayGuard::forget_expired(std::int64_t now_s) {
  while (!by_expiry_.empty() && by_expiry_.begin()->first < now_s) {
    used_.erase(by_expiry_.begin()->second);
    by_expiry_.erase(by_expiry_.begin());
  }
}

}  // namespace rap::fabric
