#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/crypto.hpp"
#include "base/file.hpp"
#include "signing/sign/ed25519.hpp"

namespace rap::sign {
namespace {

// 16 MB and five passes: about a quarter of a second for each guess of a passphrase. OpenSSL
// refuses to use more memory than 32 MB when it reads such a file back.
constexpr std::uint64_t kScryptN = 1 << 14;
constexpr std::uint64_t kScryptR = 8;
constexpr std::uint64_t kScryptP = 5;
constexpr std::size_t kSaltBytes = 16;
constexpr std::size_t kKeyFileMax = 16 << 10;

template <typename T, void (*Release)(T*)>
struct Releaser {
  void operator()(T* value) const { Release(value); }
};
using BioPtr = std::unique_ptr<BIO, Releaser<BIO, BIO_free_all>>;
using InfoPtr =
    std::unique_ptr<PKCS8_PRIV_KEY_INFO, Releaser<PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free>>;
using SigPtr = std::unique_ptr<X509_SIG, Releaser<X509_SIG, X509_SIG_free>>;

tl::unexpected<Error> openssl_failure(std::string_view what) {
  return fail(Errc::internal, std::string(what) + ": " + openssl_error());
}

}  // namespace

Result<std::string> encrypt_key(const Ed25519Key& key, const Secret& passphrase) {
  if (passphrase.empty()) return fail(Errc::invalid, "an empty passphrase protects nothing");
  InfoPtr info(EVP_PKEY2PKCS8(key.key_.get()));
  if (!info) return openssl_failure("encode a private key");
  Bytes salt = random_bytes(kSaltBytes);
  Bytes iv = random_bytes(16);
  X509_ALGOR* method =
      PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), salt.data(), static_cast<int>(salt.size()),
                            iv.data(), kScryptN, kScryptR, kScryptP);
  if (method == nullptr) return openssl_failure("scrypt");
  const std::string_view text = passphrase.text();
  SigPtr sealed(PKCS8_set0_pbe(text.data(), static_cast<int>(text.size()), info.get(), method));
  if (!sealed) {
    X509_ALGOR_free(method);
    return openssl_failure("encrypt a private key");
  }
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_PKCS8(bio.get(), sealed.get()) != 1) return openssl_failure("PEM");
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(length));
}

Result<Ed25519Key> decrypt_key(std::string_view pem, const Secret& passphrase) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  SigPtr sealed(PEM_read_bio_PKCS8(bio.get(), nullptr, nullptr, nullptr));
  if (!sealed) {
    openssl_error();
    return fail(Errc::unauthorized, "not an encrypted private key");
  }
  const std::string_view text = passphrase.text();
  InfoPtr info(PKCS8_decrypt(sealed.get(), text.data(), static_cast<int>(text.size())));
  if (!info) {
    openssl_error();
    return fail(Errc::unauthorized, "wrong passphrase, or a damaged key file");
  }
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_PKCS82PKEY(info.get()),
                                                          &EVP_PKEY_free);
  if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_ED25519) {
    return fail(Errc::unsupported, "not an Ed25519 key");
  }
  return Ed25519Key(key.release());
}

Status save_key(const std::filesystem::path& path, const Ed25519Key& key,
                const Secret& passphrase) {
  std::error_code ec;
  if (std::filesystem::exists(std::filesystem::symlink_status(path, ec))) {
    return fail(Errc::conflict, path.string() + " exists");
  }
  auto pem = encrypt_key(key, passphrase);
  if (!pem) return fail(std::move(pem.error()));
  return write_file_atomic(path, *pem, 0600);
}

Result<Ed25519Key> load_key(const std::filesystem::path& path, const Secret& passphrase) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & 077) != 0) {
    return fail(Errc::forbidden, path.string() + ": others may touch it; want mode 0600");
  }
  auto pem = read_text_file(path, kKeyFileMax);
  if (!pem) return fail(std::move(pem.error()));
  auto key = decrypt_key(*pem, passphrase);
  if (!key) return fail(key.error(), path.string());
  return key;
}

}  // namespace rap::sign
