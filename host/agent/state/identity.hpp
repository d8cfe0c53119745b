// Who this node is, on disk: one file, so that it is there whole or not at all.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.hpp"

namespace rap::agent {

// `<state>/identity.json`, mode 0600. The private key was made here and leaves only in this file.
struct Identity {
  std::string node_id;
  std::string cluster_id;
  std::string server;           // base URL at enrollment
  std::string pin;              // SHA-256 of the platform CA's key, base64url; from the join token
  std::string key_pem;          // ECDSA P-256
  std::string certificate_pem;  // spiffe://<cluster>/node/<node>, 24 h
  std::string cluster_ca_pem;
  std::string director_root;  // root.json of D, word for word
};

// `<state>/enrollment.json`, mode 0600: the key of a request that has no answer yet. Running enroll
// again goes on with the same key, which makes it the same request.
struct PendingEnrollment {
  std::string key_pem;
  std::string server;
  std::string token_id;         // another token is another request
  std::string join_request_id;  // empty until the control plane took it
};

Result<Identity> parse_identity(std::string_view text);
std::string serialize(const Identity& identity);

// `not_found` when the node is not enrolled; `malformed` when the file is damaged.
Result<Identity> read_identity(const std::filesystem::path& path);
Status write_identity(const std::filesystem::path& path, const Identity& identity);

Result<PendingEnrollment> read_pending(const std::filesystem::path& path);
Status write_pending(const std::filesystem::path& path, const PendingEnrollment& pending);

}  // namespace rap::agent
