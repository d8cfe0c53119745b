// Envelope encryption of what PostgreSQL keeps for us but must not be able to read.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/bytes.hpp"
#include "base/crypto.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace rap::cp {

// AES-256-GCM twice: a data key of its own per value, wrapped by the key-encryption key (KEK) that
// lives in the data folder of the servers. Immutable, any thread.
//
//   u8 version = 1 | 8 bytes KEK id | 12 nonce | 32 + 16 wrapped data key | 12 nonce | text + 16
class Sealer {
 public:
  // `kek` is 32 bytes; `invalid` otherwise.
  static Result<Sealer> create(Secret kek);
  // Reads a file of 64 hex digits that only its owner may read (`forbidden` otherwise).
  static Result<Sealer> from_file(const std::filesystem::path& path);

  // `context` says what the value is and whose ("org_..|sec_.."); open() needs the same one, so a
  // sealed value moved to another row does not open.
  Bytes seal(ByteView plain, std::string_view context) const;
  // `malformed`; `mismatch` for another KEK; `bad_signature` when changed, or another context.
  Result<Secret> open(ByteView sealed, std::string_view context) const;
  // HMAC-SHA256 under a key that is made of the KEK and `context`: equal for equal `data`, and says
  // nothing about it to who has only the database.
  Sha256Digest mac(ByteView data, std::string_view context) const;

 private:
  explicit Sealer(Secret kek);
  Secret kek_;
  Bytes kek_id_;
};

}  // namespace rap::cp
