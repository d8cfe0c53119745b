#include "signing/verify/keys.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "base/json.hpp"
#include "signing/verify/canonical_json.hpp"

namespace rap::tuf {
namespace {

namespace json = boost::json;
using KeyPtr = std::shared_ptr<EVP_PKEY>;

constexpr std::size_t kPemMax = 16 << 10;  // an RSA key of 8192 bits needs 1.5 KB
constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 8192;  // checking a signature gets slow beyond

KeyPtr own(EVP_PKEY* key) {
  return KeyPtr(key, [](EVP_PKEY* k) { EVP_PKEY_free(k); });
}

// Never asks a terminal for a passphrase, which OpenSSL does by default for an encrypted PEM.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

Result<KeyPtr> key_from_pem(const std::string& pem) {
  if (pem.size() > kPemMax) return fail(Errc::too_large, "key: PEM text");
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  KeyPtr key = own(PEM_read_bio_PUBKEY(bio.get(), nullptr, no_passphrase, nullptr));
  if (!key) return fail(Errc::malformed, "key: not a public key in PEM: " + openssl_error());
  return key;
}

Result<KeyPtr> ec_key(const std::string& pem) {
  auto key = key_from_pem(pem);
  if (!key) return key;
  char curve[64] = {};
  std::size_t length = 0;
  if (EVP_PKEY_get_base_id(key->get()) != EVP_PKEY_EC ||
      EVP_PKEY_get_group_name(key->get(), curve, sizeof curve, &length) != 1 ||
      std::string_view(curve, length) != SN_X9_62_prime256v1) {
    return fail(Errc::unsupported, "key: not on curve P-256");
  }
  return key;
}

Result<KeyPtr> rsa_key(const std::string& pem) {
  auto key = key_from_pem(pem);
  if (!key) return key;
  if (EVP_PKEY_get_base_id(key->get()) != EVP_PKEY_RSA) {
    return fail(Errc::unsupported, "key: not an RSA key");
  }
  const int bits = EVP_PKEY_get_bits(key->get());
  if (bits < kRsaBitsMin || bits > kRsaBitsMax) {
    return fail(Errc::unsupported, "key: RSA of " + std::to_string(bits) + " bits");
  }
  return key;
}

Result<KeyPtr> ed25519_key(ByteView raw) {
  if (raw.size() != 32) return fail(Errc::malformed, "key: an Ed25519 key has 32 bytes");
  KeyPtr key = own(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw.data(), raw.size()));
  if (!key) return fail(Errc::malformed, "key: " + openssl_error());
  return key;
}

std::string material_of(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int length = i2d_PUBKEY(key, &der);
  if (length <= 0) throw std::runtime_error("encode a public key: " + openssl_error());
  std::string digest = to_hex(sha256(ByteView(der, static_cast<std::size_t>(length))));
  OPENSSL_free(der);
  return digest;
}

KeyScheme scheme_of(std::string_view type, std::string_view scheme) {
  if (type == "ed25519" && scheme == "ed25519") return KeyScheme::ed25519;
  if ((type == "ecdsa" || type == "ecdsa-sha2-nistp256") && scheme == "ecdsa-sha2-nistp256") {
    return KeyScheme::ecdsa_p256_sha256;
  }
  if (type == "rsa" && scheme == "rsassa-pss-sha256") return KeyScheme::rsa_pss_sha256;
  return KeyScheme::unknown;
}

Result<KeyPtr> parse_key(KeyScheme scheme, const std::string& text) {
  if (scheme == KeyScheme::ecdsa_p256_sha256) return ec_key(text);
  if (scheme == KeyScheme::rsa_pss_sha256) return rsa_key(text);
  auto raw = from_hex(text);
  if (!raw) return fail(raw.error(), "key");
  return ed25519_key(*raw);
}

bool verify_with(EVP_PKEY* key, KeyScheme scheme, ByteView message, ByteView signature) {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                  &EVP_MD_CTX_free);
  const EVP_MD* digest = scheme == KeyScheme::ed25519 ? nullptr : EVP_sha256();
  EVP_PKEY_CTX* options = nullptr;
  bool ok = context && EVP_DigestVerifyInit(context.get(), &options, digest, nullptr, key) == 1 &&
            (scheme != KeyScheme::rsa_pss_sha256 ||
             (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_AUTO) == 1)) &&
            EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                             message.size()) == 1;
  if (!ok) openssl_error();  // a wrong signature leaves entries in the queue
  return ok;
}

}  // namespace

Result<PublicKey> PublicKey::from_ed25519(ByteView raw) {
  if (raw.size() != 32) return fail(Errc::malformed, "key: an Ed25519 key has 32 bytes");
  json::object object;
  object["keytype"] = "ed25519";
  object["scheme"] = "ed25519";
  object["keyval"] = json::object{{"public", to_hex(raw)}};
  return from_json(object);
}

Result<PublicKey> PublicKey::from_json(const json::object& object) {
  auto type = json_string(object, "keytype");
  auto scheme = json_string(object, "scheme");
  auto value = json_object(object, "keyval");
  if (!type || !scheme || !value) {
    return fail(Errc::malformed, "key: wants keytype, scheme and keyval");
  }
  auto canonical = canonical_json(json::value(object));
  if (!canonical) return fail(canonical.error(), "key");

  PublicKey key;
  key.id_ = to_hex(sha256(*canonical));
  key.material_ = key.id_;
  key.object_ = std::move(*canonical);
  key.scheme_ = scheme_of(*type, *scheme);
  if (key.scheme_ == KeyScheme::unknown) return key;

  auto text = json_string(**value, "public");
  if (!text) return fail(Errc::malformed, "key: keyval wants public");
  auto parsed = parse_key(key.scheme_, *text);
  if (!parsed) return fail(std::move(parsed.error()));
  key.key_ = std::move(*parsed);
  key.material_ = material_of(key.key_.get());
  return key;
}

Bytes PublicKey::ed25519_raw() const {
  if (scheme_ != KeyScheme::ed25519) return {};
  Bytes raw(32);
  std::size_t length = raw.size();
  if (EVP_PKEY_get_raw_public_key(key_.get(), raw.data(), &length) != 1) return {};
  return raw;
}

bool PublicKey::verify(ByteView message, ByteView signature) const {
  if (!key_ || signature.empty()) return false;
  return verify_with(key_.get(), scheme_, message, signature);
}

json::object PublicKey::to_json() const {
  return json::parse(object_).as_object();
}

bool ed25519_verify(ByteView public_key, ByteView message, ByteView signature) {
  if (signature.size() != 64) return false;
  auto key = ed25519_key(public_key);
  return key && verify_with(key->get(), KeyScheme::ed25519, message, signature);
}

}  // namespace rap::tuf
