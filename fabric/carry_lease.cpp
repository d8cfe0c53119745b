#include "fabric/carry_lease.hpp"

#include <boost/json.hpp>

#include "base/json.hpp"

namespace rap::fabric {

namespace {

namespace json = boost::json;

constexpr JwsKind kKind{"rap-carry+jwt", "carry lease"};

ClaimTimes times_of(const CarryClaims& claims) {
  return {claims.issued_at, claims.expires_at};
}

// What every carry lease fulfils, whoever made it.
Status check_claims(const CarryClaims& claims) {
  const bool trace = claims.verb == CarryVerb::trace;
  if (!trace && claims.target.kind != MeshTarget::Kind::service) {
    return fail(Errc::invalid, "aud: a node is for trace only");
  }
  // A target that could not be read back would be a lease for nobody.
  if (mesh_target_of_authority(mesh_authority(claims.target)) != claims.target) {
    return fail(Errc::invalid, "aud: not a service or node");
  }
  if (trace != claims.session_id.empty()) return fail(Errc::invalid, "sid: empty only with trace");
  const auto text = [](const std::string& value, std::string_view claim, bool may_be_empty) {
    if (may_be_empty && value.empty()) return Status();
    return check_claim_text(value, claim);
  };
  const Status checks[] = {
      text(claims.issuer, "iss", false),
      text(claims.user_id, "sub", false),
      text(claims.organization_id, "org", trace),
      text(claims.session_id, "sid", trace),
      check_claim_life(times_of(claims), kCarryLifeMaxS),
  };
  for (const Status& status : checks) {
    if (!status) return status;
  }
  return {};
}

// One text for each of the two sets.
Result<bool> read_bulk(const json::object& object) {
  const auto classes = json_array(object, "classes");
  if (!classes) return fail(classes.error());
  const json::array& list = **classes;
  const auto is = [&](std::size_t i, std::string_view word) {
    return list[i].is_string() && std::string_view(list[i].get_string()) == word;
  };
  if (list.size() == 1 && is(0, "interactive")) return false;
  if (list.size() == 2 && is(0, "interactive") && is(1, "bulk")) return true;
  return fail(Errc::invalid, "classes");
}

}  // namespace

json::object carry_claims_to_json(const CarryClaims& claims) {
  json::object out;
  out["iss"] = claims.issuer;
  out["aud"] = target_spiffe(claims.issuer, claims.target);
  out["sub"] = claims.user_id;
  out["org"] = claims.organization_id;
  out["sid"] = claims.session_id;
  out["iat"] = claims.issued_at;
  out["nbf"] = claims.issued_at;
  out["exp"] = claims.expires_at;
  out["verb"] = claims.verb == CarryVerb::carry ? "carry" : "trace";
  json::array classes{"interactive"};
  if (claims.bulk) classes.emplace_back("bulk");
  out["classes"] = std::move(classes);
  out["cnf"] = confirmation_of(claims.client_certificate_sha256);
  return out;
}

Result<CarryClaims> carry_claims_from_json(const json::object& object) {
  CarryClaims out;
  std::string audience;
  const std::pair<std::string*, std::string_view> texts[] = {
      {&out.issuer, "iss"},          {&audience, "aud"},       {&out.user_id, "sub"},
      {&out.organization_id, "org"}, {&out.session_id, "sid"},
  };
  for (const auto& [text, claim] : texts) {
    auto value = json_string(object, claim);
    if (!value) return fail(value.error());
    *text = std::move(*value);
  }
  auto target = target_of_spiffe(out.issuer, audience);
  if (!target) return fail(Errc::invalid, "aud: not a service or node of the issuer");
  out.target = std::move(*target);

  const auto times = read_claim_times(object);
  if (!times) return fail(times.error());
  out.issued_at = times->issued_at;
  out.expires_at = times->expires_at;

  const auto verb = json_string(object, "verb");
  if (!verb) return fail(verb.error());
  if (*verb != "carry" && *verb != "trace") return fail(Errc::invalid, "verb");
  out.verb = *verb == "carry" ? CarryVerb::carry : CarryVerb::trace;
  const auto bulk = read_bulk(object);
  if (!bulk) return fail(bulk.error());
  out.bulk = *bulk;

  const auto confirmation = read_confirmation(object);
  if (!confirmation) return fail(confirmation.error());
  out.client_certificate_sha256 = *confirmation;
  const Status status = check_claims(out);
  if (!status) return fail(status.error());
  return out;
}

Result<std::string> mint_carry_lease(const CarryClaims& claims, ByteView private_key_raw) {
  const Status status = check_claims(claims);
  if (!status) return fail(status.error(), kKind.what);
  return sign_jws(kKind, json::serialize(carry_claims_to_json(claims)), private_key_raw);
}

Result<CarryVerifier> CarryVerifier::create(std::string issuer, const std::vector<LeaseKey>& keys) {
  if (issuer.empty()) return fail(Errc::invalid, "carry lease: issuer");
  CarryVerifier out;
  out.issuer_ = std::move(issuer);
  auto checked = JwsKeys::create(keys);
  if (!checked) return fail(checked.error());
  out.keys_ = std::move(*checked);
  return out;
}

Result<CarryClaims> CarryVerifier::verify(std::string_view jws, const CarryUse& use,
                                          SystemTime now) const {
  const auto payload = keys_.open(kKind, jws);
  if (!payload) return fail(payload.error());
  auto claims = carry_claims_from_json(*payload);
  if (!claims) return fail(Errc::malformed, "carry lease: " + claims.error().detail);

  if (claims->issuer != issuer_) return fail(Errc::mismatch, "carry lease: of another cluster");
  if (claims->target != use.target) return fail(Errc::mismatch, "carry lease: for another service");
  if (use.client_certificate != nullptr &&
      !equal_constant_time(claims->client_certificate_sha256, *use.client_certificate)) {
    return fail(Errc::mismatch, "carry lease: bound to another client certificate");
  }
  const Status in_time = check_claim_time(kKind, times_of(*claims), now);
  if (!in_time) return fail(in_time.error());
  if (!claims->allows(use.channel_class)) {
    return fail(Errc::forbidden, "carry lease: not for this class");
  }
  return claims;
}

}  // namespace rap::fabric
