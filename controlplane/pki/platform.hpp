// The keys in the data folder: platform authority, server certificate, key-encryption key.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "controlplane/config/config.hpp"
#include "controlplane/pki/authority.hpp"
#include "controlplane/secrets/sealer.hpp"

namespace rap::cp {

// File names below data_dir. Keys are 0600; the folder is 0700.
inline constexpr const char* kPlatformCaFile = "platform-ca.pem";
inline constexpr const char* kPlatformCaKeyFile = "platform-ca.key";
inline constexpr const char* kKekFile = "secrets.kek";

struct PlatformKeys {
  CertificateAuthority authority;
  net::TlsIdentity server;
  Sealer sealer;
};

// Makes what is missing and returns the names of what it made. Never replaces a key. `conflict`
// when only a part of a pair is there.
Result<std::vector<std::string>> make_platform_keys(const Config& config, SystemTime now);

// Reads all of it; makes the server certificate anew when that is due (server_certificate.hpp).
// `not_found` when init has not run.
Result<PlatformKeys> load_platform_keys(const Config& config, SystemTime now);

}  // namespace rap::cp
