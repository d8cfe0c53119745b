// One holder's directory of keys: <name>.key (private, encrypted) and <name>.pub (what others get).
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "signing/sign/ed25519.hpp"

namespace rap::sign {

// The directory has mode 0700. Not thread-safe.
class KeyStore {
 public:
  // `passphrase` is asked at most once, when a private key is first needed.
  using AskPassphrase = std::function<Result<Secret>()>;

  KeyStore(std::filesystem::path directory, AskPassphrase passphrase);

  // `conflict` when the name is taken, `invalid` when it is not a plain name.
  Result<tuf::PublicKey> create(const std::string& name);

  // By name; an empty map when the directory is not there.
  Result<std::map<std::string, tuf::PublicKey>> list() const;
  Result<tuf::PublicKey> public_key(const std::string& name) const;

  // The private keys that are here of those with these key ids; they live as long as the store.
  Result<std::vector<const Ed25519Key*>> unlock(const std::vector<std::string>& key_ids);
  Result<const Ed25519Key*> unlock_name(const std::string& name);

 private:
  Result<const Secret*> passphrase();
  bool has(const std::string& name) const;

  std::filesystem::path directory_;
  AskPassphrase ask_;
  Secret passphrase_;
  std::map<std::string, Ed25519Key> unlocked_;  // by name
};

// A <name>.pub file: the key object of TUF metadata.
Result<tuf::PublicKey> read_public_key(const std::filesystem::path& file);

}  // namespace rap::sign
