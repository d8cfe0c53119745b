#include "host_keys.hpp"

#include <rap/rap.hpp>

namespace rap::ssh {
namespace {

Key parse_key(const std::string& text) {
  const std::size_t space = text.find(' ');
  if (space == std::string::npos) return nullptr;
  const std::string type = text.substr(0, space);
  const std::string base64 = text.substr(space + 1, text.find(' ', space + 1) - space - 1);
  const ssh_keytypes_e kind = ssh_key_type_from_name(type.c_str());
  ssh_key key = nullptr;
  if (kind == SSH_KEYTYPE_UNKNOWN) return nullptr;
  if (ssh_pki_import_pubkey_base64(base64.c_str(), kind, &key) != SSH_OK) return nullptr;
  return Key(key);
}

// SHA-1 signatures (ssh-rsa) are not accepted, RSA keys are.
const char* algorithms_of(ssh_key key) {
  switch (ssh_key_type(key)) {
    case SSH_KEYTYPE_ED25519:
      return "ssh-ed25519";
    case SSH_KEYTYPE_ECDSA_P256:
      return "ecdsa-sha2-nistp256";
    case SSH_KEYTYPE_ECDSA_P384:
      return "ecdsa-sha2-nistp384";
    case SSH_KEYTYPE_ECDSA_P521:
      return "ecdsa-sha2-nistp521";
    case SSH_KEYTYPE_RSA:
      return "rsa-sha2-512,rsa-sha2-256";
    default:
      return nullptr;
  }
}

constexpr const char* kAllAlgorithms[] = {"ssh-ed25519", "ecdsa-sha2-nistp256",
                                          "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
                                          "rsa-sha2-512,rsa-sha2-256"};

}  // namespace

HostKeys::HostKeys(const std::vector<std::string>& texts) {
  const auto add = [this](const std::string& algorithms) {
    if (algorithms_.find(algorithms) != std::string::npos) return;
    if (!algorithms_.empty()) algorithms_ += ',';
    algorithms_ += algorithms;
  };
  for (std::size_t i = 0; i < texts.size(); ++i) {
    Key key = parse_key(texts[i]);
    const char* algorithms = key ? algorithms_of(key.get()) : nullptr;
    if (!algorithms) {
      throw Failure(RAP_E_CONFIG, "/known_hosts/" + std::to_string(i) +
                                      ": not a public key of a type that is supported (ed25519, "
                                      "ecdsa, rsa), as in a .pub file");
    }
    add(algorithms);
    keys_.push_back(std::move(key));
  }
  for (const char* algorithms : kAllAlgorithms) add(algorithms);
}

void HostKeys::check(ssh_key presented) const {
  for (const Key& key : keys_) {
    if (ssh_key_cmp(key.get(), presented, SSH_KEY_CMP_PUBLIC) == 0) return;
  }
  throw Failure(RAP_E_DENIED,
                "the target presented a host key that is not listed: " + fingerprint(presented) +
                    " (" + ssh_key_type_to_char(ssh_key_type(presented)) +
                    "). If the target really has a new key, add it to known_hosts of the resource; "
                    "if not, somebody is in between");
}

std::string fingerprint(ssh_key key) {
  unsigned char* hash = nullptr;
  std::size_t bytes = 0;
  if (ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &bytes) != SSH_OK) return "?";
  char* text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, bytes);
  ssh_clean_pubkey_hash(&hash);
  std::string out = text ? text : "?";
  ssh_string_free_char(text);
  return out;
}

}  // namespace rap::ssh
