#include "controlplane/secrets/sealer.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>

#include <memory>
#include <stdexcept>

#include "base/crypto.hpp"
#include "base/file.hpp"

namespace rap::cp {
namespace {

constexpr std::size_t kNonce = 12;
constexpr std::size_t kTag = 16;
constexpr std::size_t kKey = 32;
constexpr std::size_t kKekId = 8;
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kWrapped = kNonce + kKey + kTag;
constexpr std::size_t kHeader = 1 + kKekId + kWrapped;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

// nonce | ciphertext | tag
Bytes gcm_seal(ByteView key, ByteView plain, ByteView context) {
  Bytes out = random_bytes(kNonce);
  out.resize(kNonce + plain.size() + kTag);
  Context cipher(EVP_CIPHER_CTX_new());
  int length = 0;
  const bool ok =
      cipher &&
      EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key.data(), out.data()) == 1 &&
      EVP_EncryptUpdate(cipher.get(), nullptr, &length, context.data(),
                        static_cast<int>(context.size())) == 1 &&
      EVP_EncryptUpdate(cipher.get(), out.data() + kNonce, &length, plain.data(),
                        static_cast<int>(plain.size())) == 1 &&
      EVP_EncryptFinal_ex(cipher.get(), out.data() + kNonce + length, &length) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTag,
                          out.data() + kNonce + plain.size()) == 1;
  if (!ok) throw std::runtime_error("AES-GCM: " + openssl_error());
  return out;
}

Result<Secret> gcm_open(ByteView key, ByteView sealed, ByteView context) {
  const std::size_t size = sealed.size() - kNonce - kTag;
  Bytes plain(size);
  Context cipher(EVP_CIPHER_CTX_new());
  int length = 0;
  Bytes tag(sealed.end() - kTag, sealed.end());
  const bool ok = cipher &&
                  EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key.data(),
                                     sealed.data()) == 1 &&
                  EVP_DecryptUpdate(cipher.get(), nullptr, &length, context.data(),
                                    static_cast<int>(context.size())) == 1 &&
                  EVP_DecryptUpdate(cipher.get(), plain.data(), &length, sealed.data() + kNonce,
                                    static_cast<int>(size)) == 1 &&
                  EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTag, tag.data()) == 1 &&
                  EVP_DecryptFinal_ex(cipher.get(), plain.data() + length, &length) == 1;
  Secret secret(std::move(plain));
  if (!ok) {
    openssl_error();
    return fail(Errc::bad_signature, "a sealed value does not open: changed, or of another row");
  }
  return secret;
}

Sha256Digest hmac_sha256(ByteView key, ByteView data) {
  Sha256Digest out{};
  unsigned size = out.size();
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), data.data(), data.size(),
           out.data(), &size) == nullptr) {
    throw std::runtime_error("HMAC-SHA256: " + openssl_error());
  }
  return out;
}

}  // namespace

Sealer::Sealer(Secret kek) : kek_(std::move(kek)) {
  const Sha256Digest digest = sha256(kek_.bytes());
  const Sha256Digest id = sha256(ByteView(digest));  // of the hash: says nothing about the key
  kek_id_.assign(id.begin(), id.begin() + kKekId);
}

Result<Sealer> Sealer::create(Secret kek) {
  if (kek.bytes().size() != kKey) return fail(Errc::invalid, "the KEK must have 32 bytes");
  return Sealer(std::move(kek));
}

Result<Sealer> Sealer::from_file(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & 077) != 0) {
    return fail(Errc::forbidden, path.string() + ": others may read it; chmod 600");
  }
  auto text = read_text_file(path, 256);
  if (!text) return fail(text.error(), "key-encryption key");
  while (!text->empty() && text->back() == '\n') text->pop_back();
  auto key = from_hex(*text);
  wipe(*text);
  if (!key) return fail(Errc::malformed, path.string() + ": not 64 hex digits");
  return create(Secret(std::move(*key)));
}

Sha256Digest Sealer::mac(ByteView data, std::string_view context) const {
  const std::string label = "rap mac|" + std::string(context);
  const Sha256Digest key = hmac_sha256(kek_.bytes(), as_bytes(label));
  return hmac_sha256(key, data);
}

Bytes Sealer::seal(ByteView plain, std::string_view context) const {
  const Secret data_key(random_bytes(kKey));
  Bytes out{kVersion};
  out.insert(out.end(), kek_id_.begin(), kek_id_.end());
  const Bytes wrapped = gcm_seal(kek_.bytes(), data_key.bytes(), as_bytes(context));
  out.insert(out.end(), wrapped.begin(), wrapped.end());
  const Bytes body = gcm_seal(data_key.bytes(), plain, as_bytes(context));
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

Result<Secret> Sealer::open(ByteView sealed, std::string_view context) const {
  if (sealed.size() < kHeader + kNonce + kTag || sealed[0] != kVersion) {
    return fail(Errc::malformed, "not a sealed value");
  }
  if (!equal_constant_time(sealed.subspan(1, kKekId), kek_id_)) {
    return fail(Errc::mismatch, "sealed with another key-encryption key than this server's");
  }
  auto key = gcm_open(kek_.bytes(), sealed.subspan(1 + kKekId, kWrapped), as_bytes(context));
  if (!key) return fail(key.error());
  return gcm_open(key->bytes(), sealed.subspan(kHeader), as_bytes(context));
}

}  // namespace rap::cp
