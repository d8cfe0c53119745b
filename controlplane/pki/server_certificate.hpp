// The certificate by which people and agents know a server: its key and chain in one file, so that
// a crash never leaves halves of two.
#pragma once

#include <string>
#include <vector>

#include "controlplane/config/config.hpp"
#include "controlplane/pki/authority.hpp"

namespace rap::cp {

// Below data_dir, 0600: the private key, the certificate, the authority's certificate.
inline constexpr const char* kServerCertificateFile = "server.pem";
// Where versions before this one had the key; read when server.pem has none, removed when it is
// written again.
inline constexpr const char* kServerKeyFile = "server.key";

// Reads the file. Makes a new one when there is none, when its names no longer cover the
// configuration, or when it ends within 30 days or has not begun. `mismatch` when the key is not
// the certificate's, `malformed`; both say which file and what to do.
Result<net::TlsIdentity> load_server_identity(const Config& config,
                                              const CertificateAuthority& authority,
                                              SystemTime now);

// Names and addresses that the certificate must carry.
std::vector<std::string> server_names(const Config& config);

}  // namespace rap::cp
