#include "fabric/resume/proof.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>

#include <memory>
#include <stdexcept>
#include <string_view>

#include "base/crypto.hpp"
#include "base/little_endian.hpp"

namespace rap::resume {
namespace {

constexpr std::string_view kInfo = "rap resume 1";

struct FreeKdf {
  void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};

void put(Bytes& out, std::uint64_t value) {
  out.resize(out.size() + sizeof value);
  put_little_endian<std::uint64_t>(out.data() + out.size() - sizeof value, value);
}

}  // namespace

Secret derive_key(const StreamId& id, const Random& dialler, const Random& acceptor) {
  Bytes input(dialler.begin(), dialler.end());
  input.insert(input.end(), acceptor.begin(), acceptor.end());
  const Secret randoms(std::move(input));
  std::string digest = "SHA256";
  std::string info(kInfo);
  StreamId salt = id;
  // OpenSSL's parameters are not const; it writes none of these.
  auto* material = const_cast<std::uint8_t*>(randoms.bytes().data());
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, material, randoms.bytes().size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt.data(), salt.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
      OSSL_PARAM_construct_end(),
  };
  const std::unique_ptr<EVP_KDF, FreeKdf> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  const std::unique_ptr<EVP_KDF_CTX, FreeKdf> context(kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr);
  Bytes key(32);
  if (!context || EVP_KDF_derive(context.get(), key.data(), key.size(), parameters) != 1) {
    throw std::runtime_error("HKDF: " + openssl_error());
  }
  return Secret(std::move(key));
}

Proof make_proof(const Secret& key, End from, const StreamId& id, std::uint64_t epoch,
                 std::uint64_t next) {
  // Each part but the label has one length, and the labels differ: no two statements are one text.
  Bytes text = to_bytes(from == End::dialler ? "dialler" : "acceptor");
  text.insert(text.end(), id.begin(), id.end());
  put(text, epoch);
  put(text, next);
  Proof out;
  unsigned size = out.size();
  if (HMAC(EVP_sha256(), key.bytes().data(), static_cast<int>(key.bytes().size()), text.data(),
           text.size(), out.data(), &size) == nullptr) {
    throw std::runtime_error("HMAC: " + openssl_error());
  }
  return out;
}

bool proof_holds(const Secret& key, End from, const StreamId& id, std::uint64_t epoch,
                 std::uint64_t next, const Proof& proof) {
  return equal_constant_time(make_proof(key, from, id, epoch, next), proof);
}

}  // namespace rap::resume
