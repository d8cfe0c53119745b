// What rapctl remembers between calls: which server, which CA, which login.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.hpp"

namespace rap::cli {

struct Context {
  std::string server;      // "https://host:port"
  std::string ca_pem;      // the platform CA, when it was given as a file
  std::string ca_pin;      // else SHA-256 of its public key, base64url, confirmed at login
  std::string token;       // session token; empty: not logged in
  std::string login;       // for messages
  std::string expires_at;  // RFC 3339
};

// $RAP_CONFIG_DIR, or $XDG_CONFIG_HOME/rap, or ~/.config/rap.
std::filesystem::path config_dir();

// The saved context, empty when there is none. `malformed` for a file that is not ours.
Result<Context> load_context(const std::filesystem::path& dir);

// Writes the file with mode 0600 into the folder, which is made with 0700.
Status save_context(const std::filesystem::path& dir, const Context& context);

}  // namespace rap::cli
