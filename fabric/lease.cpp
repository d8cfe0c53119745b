#include "fabric/lease.hpp"

#include <openssl/evp.h>

#include <boost/json.hpp>

#include "base/json.hpp"

namespace rap::fabric {

namespace {

namespace json = boost::json;

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kSignatureBytes = 64;
constexpr std::size_t kKidChars = 16;
// base64url of 16 bytes.
constexpr std::size_t kLeaseIdChars = 22;
// Longer than any id and name of ours; the whole lease has to fit 4 KiB.
constexpr std::size_t kTextMax = 512;

constexpr std::string_view kHeaderBegin = R"({"alg":"EdDSA","kid":")";
constexpr std::string_view kHeaderEnd = R"(","typ":"rap-lease+jwt"})";

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

Key private_key(ByteView raw) {
  if (raw.size() != kKeyBytes) return nullptr;
  return Key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, raw.data(), raw.size()));
}

Result<Bytes> public_of(EVP_PKEY* key) {
  Bytes out(kKeyBytes);
  std::size_t size = out.size();
  if (EVP_PKEY_get_raw_public_key(key, out.data(), &size) != 1 || size != kKeyBytes) {
    return fail(Errc::internal, "lease key: " + openssl_error());
  }
  return out;
}

bool signature_holds(ByteView public_key, std::string_view signed_text, ByteView signature) {
  const Key key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, public_key.data(), public_key.size()));
  const Context context(EVP_MD_CTX_new());
  const bool holds =
      key && context &&
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
      EVP_DigestVerify(context.get(), signature.data(), signature.size(),
                       reinterpret_cast<const unsigned char*>(signed_text.data()),
                       signed_text.size()) == 1;
  openssl_error();
  return holds;
}

std::string header_text(std::string_view kid) {
  return std::string(kHeaderBegin) + std::string(kid) + std::string(kHeaderEnd);
}

bool is_kid(std::string_view text) {
  if (text.size() != kKidChars) return false;
  for (const char c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

// The header has one text per key: there is nothing to parse, and no algorithm to choose.
Result<std::string> kid_of_header(std::string_view encoded) {
  auto decoded = from_base64url(encoded);
  if (!decoded) return fail(Errc::malformed, "lease header");
  const std::string_view text = as_text(*decoded);
  if (!text.starts_with(kHeaderBegin) ||
      text.size() != kHeaderBegin.size() + kKidChars + kHeaderEnd.size()) {
    return fail(Errc::unsupported, "lease header is not that of a lease");
  }
  const std::string_view kid = text.substr(kHeaderBegin.size(), kKidChars);
  if (!is_kid(kid) || text != header_text(kid)) {
    return fail(Errc::unsupported, "lease header is not that of a lease");
  }
  return std::string(kid);
}

bool is_lease_id(std::string_view text) {
  if (text.size() != kLeaseIdChars) return false;
  const auto decoded = from_base64url(text);
  return decoded && decoded->size() == 16;
}

Status check_text(const std::string& text, std::string_view claim) {
  if (!text.empty() && text.size() <= kTextMax) return {};
  return fail(Errc::invalid, std::string(claim) + ": empty or over 512 bytes");
}

// What every lease fulfils, whoever made it.
Status check_claims(const LeaseClaims& claims) {
  const std::pair<const std::string*, std::string_view> texts[] = {
      {&claims.issuer, "iss"},      {&claims.audience, "aud"},   {&claims.user_id, "sub"},
      {&claims.user_name, "name"},  {&claims.session_id, "sid"}, {&claims.organization_id, "org"},
      {&claims.resource_id, "res"},
  };
  for (const auto& [text, claim] : texts) {
    const Status status = check_text(*text, claim);
    if (!status) return status;
  }
  if (!is_lease_id(claims.lease_id)) return fail(Errc::invalid, "jti: not 128 bits");
  if (claims.issued_at < 0 || claims.expires_at <= claims.issued_at ||
      claims.expires_at - claims.issued_at > kLeaseLifeMaxS) {
    return fail(Errc::invalid, "exp: not within 30 s after iat");
  }
  return {};
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
  std::int64_t not_before = 0;
  const std::pair<std::int64_t*, std::string_view> times[] = {
      {&out.issued_at, "iat"}, {&not_before, "nbf"}, {&out.expires_at, "exp"}};
  for (const auto& [time, claim] : times) {
    auto value = json_int(object, claim);
    if (!value) return fail(value.error());
    // Beyond the year 9999 lies arithmetic that overflows.
    if (*value < 0 || *value > 253402300799) return fail(Errc::invalid, std::string(claim));
    *time = *value;
  }
  if (not_before != out.issued_at) return fail(Errc::invalid, "nbf: not iat");

  auto verb = json_string(object, "verb");
  if (!verb) return fail(verb.error());
  if (*verb != "open" && *verb != "attach") return fail(Errc::invalid, "verb");
  out.verb = *verb == "open" ? LeaseVerb::open : LeaseVerb::attach;
  auto mode = json_string(object, "mode");
  if (!mode) return fail(mode.error());
  if (*mode != "control" && *mode != "view") return fail(Errc::invalid, "mode");
  out.mode = *mode == "control" ? LeaseMode::control : LeaseMode::view;

  auto confirmation = json_object(object, "cnf");
  if (!confirmation) return fail(confirmation.error());
  auto digest_text = json_string(**confirmation, "x5t#S256");
  if (!digest_text) return fail(digest_text.error());
  const auto digest = from_base64url(*digest_text);
  if (!digest || digest->size() != out.client_certificate_sha256.size()) {
    return fail(Errc::invalid, "cnf: not a SHA-256");
  }
  std::copy(digest->begin(), digest->end(), out.client_certificate_sha256.begin());
  const Status status = check_claims(out);
  if (!status) return fail(status.error());
  return out;
}

}  // namespace

json::object lease_claims_to_json(const LeaseClaims& claims) {
  json::object confirmation;
  confirmation["x5t#S256"] = to_base64url(claims.client_certificate_sha256);
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
  out["cnf"] = std::move(confirmation);
  return out;
}

Result<LeaseClaims> lease_claims_from_json(const json::object& object) {
  return read_claims(object);
}

std::string lease_key_id(ByteView public_key_raw) {
  return to_hex(sha256(public_key_raw)).substr(0, kKidChars);
}

Result<Bytes> lease_public_key(ByteView private_key_raw) {
  const Key key = private_key(private_key_raw);
  if (!key) return fail(Errc::invalid, "lease key: not 32 bytes");
  return public_of(key.get());
}

Result<std::string> mint_lease(const LeaseClaims& wanted, ByteView private_key_raw) {
  LeaseClaims claims = wanted;
  if (claims.lease_id.empty()) claims.lease_id = to_base64url(random_bytes(16));
  const Status status = check_claims(claims);
  if (!status) return fail(status.error(), "lease");
  const Key key = private_key(private_key_raw);
  if (!key) return fail(Errc::invalid, "lease key: not 32 bytes");
  const auto public_key = public_of(key.get());
  if (!public_key) return fail(public_key.error());

  std::string jws = to_base64url(as_bytes(header_text(lease_key_id(*public_key))));
  jws += '.';
  jws += to_base64url(as_bytes(json::serialize(lease_claims_to_json(claims))));
  Bytes signature(kSignatureBytes);
  std::size_t size = signature.size();
  const Context context(EVP_MD_CTX_new());
  if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size,
                     reinterpret_cast<const unsigned char*>(jws.data()), jws.size()) != 1) {
    return fail(Errc::internal, "lease: " + openssl_error());
  }
  jws += '.';
  jws += to_base64url(signature);
  if (jws.size() > kLeaseBytesMax) return fail(Errc::too_large, "lease: over 4 KiB");
  return jws;
}

Result<LeaseVerifier> LeaseVerifier::create(std::string issuer, std::string audience,
                                            const std::vector<LeaseKey>& keys) {
  if (issuer.empty() || audience.empty()) return fail(Errc::invalid, "lease: issuer, audience");
  LeaseVerifier out;
  out.issuer_ = std::move(issuer);
  out.audience_ = std::move(audience);
  for (const LeaseKey& key : keys) {
    if (key.public_key.size() != kKeyBytes || key.kid != lease_key_id(key.public_key)) {
      return fail(Errc::invalid, "lease key " + key.kid + ": the id is not that of the key");
    }
    if (!out.keys_.emplace(key.kid, key.public_key).second) {
      return fail(Errc::invalid, "lease key " + key.kid + ": twice");
    }
  }
  return out;
}

Result<LeaseClaims> LeaseVerifier::verify(std::string_view jws,
                                          const Sha256Digest& client_certificate_sha256,
                                          SystemTime now) const {
  if (jws.size() > kLeaseBytesMax) return fail(Errc::too_large, "lease: over 4 KiB");
  const auto first = jws.find('.');
  const auto second = first == std::string_view::npos ? first : jws.find('.', first + 1);
  if (second == std::string_view::npos || jws.find('.', second + 1) != std::string_view::npos) {
    return fail(Errc::malformed, "lease: not three parts");
  }
  const auto kid = kid_of_header(jws.substr(0, first));
  if (!kid) return fail(kid.error());
  const auto key = keys_.find(*kid);
  if (key == keys_.end()) {
    return fail(Errc::unauthorized, "lease: signed with key " + *kid + ", which is not valid here");
  }
  const auto signature = from_base64url(jws.substr(second + 1));
  if (!signature || signature->size() != kSignatureBytes) {
    return fail(Errc::malformed, "lease: signature");
  }
  if (!signature_holds(key->second, jws.substr(0, second), *signature)) {
    return fail(Errc::bad_signature, "lease: the signature does not hold");
  }

  const auto payload = from_base64url(jws.substr(first + 1, second - first - 1));
  if (!payload) return fail(Errc::malformed, "lease: payload");
  JsonLimits limits;
  limits.bytes_max = kLeaseBytesMax;
  limits.depth_max = 4;
  const auto value = parse_json(as_text(*payload), limits);
  if (!value || !value->is_object()) return fail(Errc::malformed, "lease: payload");
  auto claims = read_claims(value->get_object());
  if (!claims) return fail(Errc::malformed, "lease: " + claims.error().detail);

  if (claims->issuer != issuer_) return fail(Errc::mismatch, "lease: of another cluster");
  if (claims->audience != audience_) return fail(Errc::mismatch, "lease: for another node");
  if (!equal_constant_time(claims->client_certificate_sha256, client_certificate_sha256)) {
    return fail(Errc::mismatch, "lease: bound to another client certificate");
  }
  const std::int64_t at = to_unix_seconds(now);
  if (claims->issued_at > at + kLeaseClockSlackS) {
    return fail(Errc::expired,
                "lease: not valid yet; check the clocks of the node and the "
                "control plane");
  }
  if (claims->expires_at + kLeaseClockSlackS < at) {
    return fail(Errc::expired, "lease: expired; ask for a new one, or check the node's clock");
  }
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
