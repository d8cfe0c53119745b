// Looking at the certificate of a server that is not trusted yet.
#pragma once

#include <string>

#include "base/crypto.hpp"

namespace rap::cli {

struct ServerProbe {
  Sha256Digest ca_spki_sha256{};  // of the last certificate that the server sends
  std::string ca_name;
  std::string fingerprint() const;  // "aa:bb:..", 32 bytes
};

// Connects, shakes hands without believing anything, says nothing and hangs up. Throws Failure.
ServerProbe probe_server(const std::string& url);

}  // namespace rap::cli
