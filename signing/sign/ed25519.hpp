// Ed25519 private keys: making them, signing, and keeping them encrypted in a file.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "signing/verify/keys.hpp"

namespace rap::sign {

// A private key; OpenSSL wipes it when it goes. Moves, does not copy. sign() may be called from any
// thread.
class Ed25519Key {
 public:
  // From the system's random generator.
  static Ed25519Key generate();
  static Result<Ed25519Key> from_seed(ByteView seed);  // 32 bytes

  Secret seed() const;
  const Bytes& public_raw() const { return public_; }  // 32 bytes
  tuf::PublicKey public_key() const;
  // The key's id in TUF metadata.
  std::string key_id() const { return public_key().id(); }

  // 64 bytes.
  Bytes sign(ByteView message) const;

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const;
  };
  explicit Ed25519Key(evp_pkey_st* key);

  std::unique_ptr<evp_pkey_st, Free> key_;
  Bytes public_;

  friend Result<std::string> encrypt_key(const Ed25519Key& key, const Secret& passphrase);
  friend Result<Ed25519Key> decrypt_key(std::string_view pem, const Secret& passphrase);
};

// PKCS#8 EncryptedPrivateKeyInfo as PEM (`openssl pkey` reads it): PBES2 with scrypt and
// AES-256-CBC. `invalid` for an empty passphrase.
Result<std::string> encrypt_key(const Ed25519Key& key, const Secret& passphrase);
// `unauthorized`: wrong passphrase or a damaged file; `unsupported`: not an Ed25519 key.
Result<Ed25519Key> decrypt_key(std::string_view pem, const Secret& passphrase);

// Mode 0600, written whole or not at all; refuses to replace a file (`conflict`).
Status save_key(const std::filesystem::path& path, const Ed25519Key& key, const Secret& passphrase);
// Refuses a file that group or others may touch (`forbidden`).
Result<Ed25519Key> load_key(const std::filesystem::path& path, const Secret& passphrase);

}  // namespace rap::sign
