// What a resource of protocol ssh says about its target (docs/contracts/snapshots.md), checked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rap::ssh {

enum class AuthMethod { password, public_key };

struct Options {
  std::string user;
  AuthMethod auth = AuthMethod::password;
  std::vector<std::string> known_hosts;  // "ssh-ed25519 AAAA..."; at least one
  std::uint32_t keepalive_s = 30;        // 0: none
};

// JSON Schema of a resource's options; the "session" part of the adapter's schema.
extern const char kConfigSchema[];

// Throws rap::Failure RAP_E_CONFIG; the text begins with the JSON pointer of what is wrong. Checks
// everything itself: a host that did not validate is no excuse for a crash. Whether the keys in
// known_hosts are keys is HostKeys' business.
Options parse_options(std::string_view json);

}  // namespace rap::ssh
