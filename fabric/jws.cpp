#include "fabric/jws.hpp"

#include <openssl/evp.h>

#include <boost/json.hpp>

#include "base/json.hpp"

namespace rap::fabric {

namespace {

namespace json = boost::json;

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kSignatureBytes = 64;
constexpr std::size_t kKidChars = 16;
// Beyond the year 9999 lies arithmetic that overflows.
constexpr std::int64_t kTimeMax = 253402300799;

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

constexpr std::string_view kHeaderBegin = R"({"alg":"EdDSA","kid":")";

std::string header_end(JwsKind kind) {
  return R"(","typ":")" + std::string(kind.type) + R"("})";
}

bool is_kid(std::string_view text) {
  if (text.size() != kKidChars) return false;
  for (const char c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

Error error_of(Errc code, JwsKind kind, std::string_view detail) {
  return Error{code, std::string(kind.what) + std::string(detail)};
}

Result<std::string> kid_of_header(JwsKind kind, std::string_view encoded) {
  const auto decoded = from_base64url(encoded);
  if (!decoded) return fail(error_of(Errc::malformed, kind, " header"));
  const std::string_view text = as_text(*decoded);
  const std::string end = header_end(kind);
  if (text.size() == kHeaderBegin.size() + kKidChars + end.size() &&
      text.starts_with(kHeaderBegin) && text.ends_with(end)) {
    const std::string_view kid = text.substr(kHeaderBegin.size(), kKidChars);
    if (is_kid(kid)) return std::string(kid);
  }
  return fail(error_of(Errc::unsupported, kind, ": the header is of something else"));
}

}  // namespace

std::string lease_key_id(ByteView public_key_raw) {
  return to_hex(sha256(public_key_raw)).substr(0, kKidChars);
}

Result<Bytes> lease_public_key(ByteView private_key_raw) {
  const Key key = private_key(private_key_raw);
  if (!key) return fail(Errc::invalid, "lease key: not 32 bytes");
  return public_of(key.get());
}

Result<std::string> sign_jws(JwsKind kind, std::string_view payload, ByteView private_key_raw) {
  const Key key = private_key(private_key_raw);
  if (!key) return fail(Errc::invalid, "lease key: not 32 bytes");
  const auto public_key = public_of(key.get());
  if (!public_key) return fail(public_key.error());

  std::string jws = to_base64url(
      as_bytes(std::string(kHeaderBegin) + lease_key_id(*public_key) + header_end(kind)));
  jws += '.';
  jws += to_base64url(as_bytes(payload));
  Bytes signature(kSignatureBytes);
  std::size_t size = signature.size();
  const Context context(EVP_MD_CTX_new());
  if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size,
                     reinterpret_cast<const unsigned char*>(jws.data()), jws.size()) != 1) {
    return fail(error_of(Errc::internal, kind, ": " + openssl_error()));
  }
  jws += '.';
  jws += to_base64url(signature);
  if (jws.size() > kLeaseBytesMax) return fail(error_of(Errc::too_large, kind, ": over 4 KiB"));
  return jws;
}

Result<JwsKeys> JwsKeys::create(const std::vector<LeaseKey>& keys) {
  JwsKeys out;
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

Result<json::object> JwsKeys::open(JwsKind kind, std::string_view jws) const {
  if (jws.size() > kLeaseBytesMax) return fail(error_of(Errc::too_large, kind, ": over 4 KiB"));
  const auto first = jws.find('.');
  const auto second = first == std::string_view::npos ? first : jws.find('.', first + 1);
  if (second == std::string_view::npos || jws.find('.', second + 1) != std::string_view::npos) {
    return fail(error_of(Errc::malformed, kind, ": not three parts"));
  }
  const auto kid = kid_of_header(kind, jws.substr(0, first));
  if (!kid) return fail(kid.error());
  const auto key = keys_.find(*kid);
  if (key == keys_.end()) {
    return fail(error_of(Errc::unauthorized, kind,
                         ": signed with key " + *kid + ", which is not valid here"));
  }
  const auto signature = from_base64url(jws.substr(second + 1));
  if (!signature || signature->size() != kSignatureBytes) {
    return fail(error_of(Errc::malformed, kind, ": signature"));
  }
  if (!signature_holds(key->second, jws.substr(0, second), *signature)) {
    return fail(error_of(Errc::bad_signature, kind, ": the signature does not hold"));
  }

  const auto payload = from_base64url(jws.substr(first + 1, second - first - 1));
  if (!payload) return fail(error_of(Errc::malformed, kind, ": payload"));
  JsonLimits limits;
  limits.bytes_max = kLeaseBytesMax;
  limits.depth_max = 4;
  auto value = parse_json(as_text(*payload), limits);
  if (!value || !value->is_object()) return fail(error_of(Errc::malformed, kind, ": payload"));
  return std::move(value->get_object());
}

Result<ClaimTimes> read_claim_times(const json::object& object) {
  ClaimTimes out;
  std::int64_t not_before = 0;
  const std::pair<std::int64_t*, std::string_view> times[] = {
      {&out.issued_at, "iat"}, {&not_before, "nbf"}, {&out.expires_at, "exp"}};
  for (const auto& [time, claim] : times) {
    const auto value = json_int(object, claim);
    if (!value) return fail(value.error());
    if (*value < 0 || *value > kTimeMax) return fail(Errc::invalid, std::string(claim));
    *time = *value;
  }
  if (not_before != out.issued_at) return fail(Errc::invalid, "nbf: not iat");
  return out;
}

Result<Sha256Digest> read_confirmation(const json::object& object) {
  const auto confirmation = json_object(object, "cnf");
  if (!confirmation) return fail(confirmation.error());
  const auto text = json_string(**confirmation, "x5t#S256");
  if (!text) return fail(text.error());
  const auto digest = from_base64url(*text);
  Sha256Digest out{};
  if (!digest || digest->size() != out.size()) return fail(Errc::invalid, "cnf: not a SHA-256");
  std::copy(digest->begin(), digest->end(), out.begin());
  return out;
}

json::object confirmation_of(const Sha256Digest& certificate_sha256) {
  json::object out;
  out["x5t#S256"] = to_base64url(certificate_sha256);
  return out;
}

Status check_claim_text(const std::string& text, std::string_view claim) {
  if (!text.empty() && text.size() <= kClaimTextMax) return {};
  return fail(Errc::invalid, std::string(claim) + ": empty or over 512 bytes");
}

Status check_claim_life(ClaimTimes times, std::int64_t life_max_s) {
  if (times.issued_at < 0 || times.expires_at <= times.issued_at ||
      times.expires_at - times.issued_at > life_max_s) {
    return fail(Errc::invalid,
                "exp: not within " + std::to_string(life_max_s) + " seconds after iat");
  }
  return {};
}

Status check_claim_time(JwsKind kind, ClaimTimes times, SystemTime now) {
  const std::int64_t at = to_unix_seconds(now);
  if (times.issued_at > at + kLeaseClockSlackS) {
    return fail(error_of(Errc::expired, kind,
                         ": not valid yet; check the clocks of the node and the control plane"));
  }
  if (times.expires_at + kLeaseClockSlackS < at) {
    return fail(
        error_of(Errc::expired, kind, ": expired; ask for a new one, or check the node's clock"));
  }
  return {};
}

}  // namespace rap::fabric
