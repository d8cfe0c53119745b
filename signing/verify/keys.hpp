// Public keys as TUF metadata writes them down, and checking signatures with them.
#pragma once

#include <memory>
#include <string>

#include <boost/json/fwd.hpp>

#include "base/bytes.hpp"
#include "base/result.hpp"

struct evp_pkey_st;

namespace rap::tuf {

enum class KeyScheme {
  ed25519,
  ecdsa_p256_sha256,
  rsa_pss_sha256,
  unknown,  // a key type of the future: carried, never verifies anything
};

// A public key. Copies share the parsed key. Any thread.
class PublicKey {
 public:
  // A raw Ed25519 key of 32 bytes.
  static Result<PublicKey> from_ed25519(ByteView raw);

  // The object under "keys" in root or delegations. Key types: ed25519 (hex), ecdsa and
  // ecdsa-sha2-nistp256 (PEM), rsa (PEM). Fails with `malformed` for a wrong shape, `unsupported`
  // for another curve than P-256, an RSA key below 2048 or above 8192 bits, or a PEM of another
  // kind than the key type says. A key type or scheme that is not known is accepted as `unknown`.
  static Result<PublicKey> from_json(const boost::json::object& object);

  // SHA-256 over the canonical form of the whole key object, unknown members included; hex.
  const std::string& id() const { return id_; }
  // SHA-256 of the key itself without its wrapping: two ids of one key have one material.
  const std::string& material() const { return material_; }
  KeyScheme scheme() const { return scheme_; }

  // For Ed25519: the raw 32 bytes; empty otherwise.
  Bytes ed25519_raw() const;

  bool verify(ByteView message, ByteView signature) const;

  // The key object this was made from.
  boost::json::object to_json() const;

 private:
  PublicKey() = default;

  std::string id_;
  std::string material_;
  std::string object_;  // canonical text
  KeyScheme scheme_ = KeyScheme::unknown;
  std::shared_ptr<evp_pkey_st> key_;  // immutable; shared by copies
};

// `public_key` is 32 bytes and `signature` 64; false for any other length.
bool ed25519_verify(ByteView public_key, ByteView message, ByteView signature);

}  // namespace rap::tuf
