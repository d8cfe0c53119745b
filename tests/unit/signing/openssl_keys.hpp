// Key pairs of every kind, straight from OpenSSL, for tests of our reading of them.
#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <memory>
#include <string>

#include <boost/json.hpp>

#include "base/bytes.hpp"

namespace rap::test {

using KeyPair = std::shared_ptr<EVP_PKEY>;

inline KeyPair own(EVP_PKEY* key) {
  return KeyPair(key, [](EVP_PKEY* k) { EVP_PKEY_free(k); });
}
inline KeyPair make_ec(const char* curve) {
  return own(EVP_EC_gen(curve));
}
inline KeyPair make_rsa(int bits) {
  return own(EVP_RSA_gen(static_cast<unsigned>(bits)));
}

inline std::string public_pem(const KeyPair& key) {
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), &BIO_free);
  PEM_write_bio_PUBKEY(bio.get(), key.get());
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(length));
}

inline boost::json::object key_object(const std::string& type, const std::string& scheme,
                                      const std::string& text) {
  return {{"keytype", type}, {"scheme", scheme}, {"keyval", {{"public", text}}}};
}

// `salt`: length of the RSA-PSS salt, or 0 for ECDSA.
inline Bytes sign_sha256(const KeyPair& key, std::string_view message, int salt = 0) {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                  &EVP_MD_CTX_free);
  EVP_PKEY_CTX* options = nullptr;
  EVP_DigestSignInit(context.get(), &options, EVP_sha256(), nullptr, key.get());
  if (salt > 0) {
    EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(options, salt);
  }
  std::size_t length = 1024;
  Bytes signature(length);
  EVP_DigestSign(context.get(), signature.data(), &length, as_bytes(message).data(),
                 message.size());
  signature.resize(length);
  return signature;
}

}  // namespace rap::test
