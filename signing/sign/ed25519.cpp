#include "signing/sign/ed25519.hpp"

#include <openssl/evp.h>

#include <stdexcept>

#include "base/crypto.hpp"

namespace rap::sign {

void Ed25519Key::Free::operator()(EVP_PKEY* key) const {
  EVP_PKEY_free(key);
}

Ed25519Key::Ed25519Key(EVP_PKEY* key) : key_(key), public_(32) {
  std::size_t length = public_.size();
  if (key == nullptr || EVP_PKEY_get_raw_public_key(key, public_.data(), &length) != 1) {
    throw std::runtime_error("Ed25519 key: " + openssl_error());
  }
}

Ed25519Key Ed25519Key::generate() {
  Secret seed(random_bytes(32));
  return std::move(*from_seed(seed.bytes()));
}

Result<Ed25519Key> Ed25519Key::from_seed(ByteView seed) {
  if (seed.size() != 32) return fail(Errc::invalid, "an Ed25519 seed has 32 bytes");
  return Ed25519Key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
}

Secret Ed25519Key::seed() const {
  Bytes seed(32);
  std::size_t length = seed.size();
  if (EVP_PKEY_get_raw_private_key(key_.get(), seed.data(), &length) != 1) {
    throw std::runtime_error("Ed25519 key: " + openssl_error());
  }
  return Secret(std::move(seed));
}

tuf::PublicKey Ed25519Key::public_key() const {
  return std::move(*tuf::PublicKey::from_ed25519(public_));
}

Bytes Ed25519Key::sign(ByteView message) const {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                  &EVP_MD_CTX_free);
  Bytes signature(64);
  std::size_t length = signature.size();
  if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &length, message.data(), message.size()) !=
          1) {
    throw std::runtime_error("Ed25519 signature: " + openssl_error());
  }
  return signature;
}

}  // namespace rap::sign
