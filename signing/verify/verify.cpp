#include <openssl/evp.h>

#include <set>

#include "base/crypto.hpp"
#include "signing/verify/metadata.hpp"

namespace rap::tuf {
namespace {

std::string sha512_hex(ByteView bytes) {
  std::uint8_t digest[64];
  unsigned length = sizeof digest;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha512(), nullptr) != 1) {
    throw std::runtime_error("SHA-512: " + openssl_error());
  }
  return to_hex(ByteView(digest, length));
}

}  // namespace

std::vector<std::string> valid_signers(const SignedBytes& proof, const KeyRing& keys,
                                       const RoleKeys& role) {
  std::vector<std::string> ids;
  std::set<std::string> materials;  // one key counts once, whatever its ids
  const std::set<std::string> allowed(role.key_ids.begin(), role.key_ids.end());
  for (const Signature& signature : proof.signatures) {
    if (!allowed.contains(signature.key_id)) continue;
    const auto key = keys.find(signature.key_id);
    if (key == keys.end() || materials.contains(key->second.material())) continue;
    if (key->second.verify(as_bytes(proof.canonical), signature.value)) {
      materials.insert(key->second.material());
      ids.push_back(signature.key_id);
    }
  }
  return ids;
}

Status verify_signatures(const SignedBytes& proof, const KeyRing& keys, const RoleKeys& role) {
  const auto signers = valid_signers(proof, keys, role);
  if (role.threshold < 1 || static_cast<std::int64_t>(signers.size()) < role.threshold) {
    return fail(Errc::bad_signature, std::to_string(signers.size()) + " valid signatures of " +
                                         std::to_string(role.threshold));
  }
  return {};
}

Status verify_hashes(const Hashes& hashes, ByteView bytes) {
  if (hashes.known.empty()) return fail(Errc::unsupported, "no hash algorithm that is known");
  for (const auto& [algorithm, expected] : hashes.known) {
    const std::string actual = algorithm == "sha256" ? to_hex(sha256(bytes)) : sha512_hex(bytes);
    if (actual != expected) {
      return fail(Errc::mismatch, algorithm + " is " + actual + ", want " + expected);
    }
  }
  return {};
}

Status verify_meta_file(const MetaFile& meta, ByteView bytes) {
  if (meta.length && static_cast<std::uint64_t>(*meta.length) != bytes.size()) {
    return fail(Errc::mismatch, "length is " + std::to_string(bytes.size()) + ", want " +
                                    std::to_string(*meta.length));
  }
  return meta.hashes ? verify_hashes(*meta.hashes, bytes) : Status{};
}

}  // namespace rap::tuf
