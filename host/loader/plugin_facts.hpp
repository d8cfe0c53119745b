// What an adapter says it is, in our own types: from a descriptor in memory or from a manifest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace rap::loader {

struct AdapterFacts {
  std::string id;
  std::vector<std::string> roles, needs, wants, provides;
  std::string profile;
  std::uint32_t share = 0;  // RAP_SHARE_*
  bool fork_safe = false;

  // The descriptor has these too; a manifest does not.
  std::string name, vendor, version, config_schema;
};

inline constexpr std::size_t kAdaptersMax = 16;
inline constexpr std::size_t kAdapterListMax = 32;        // names in one list
inline constexpr std::size_t kAdapterTextMax = 256;       // bytes of one name
inline constexpr std::size_t kConfigSchemaMax = 1 << 18;  // bytes

// [a-z0-9.-], 1 to 64 bytes.
bool is_adapter_id(std::string_view text);
// "rap.host.log/1": a dotted name, a slash, a revision from 1.
bool is_extension_id(std::string_view text);
// "ssh-worker": [a-z0-9-], 1 to 64 bytes.
bool is_role_name(std::string_view text);
// "net.none", "net.client", "net.tun".
bool is_profile(std::string_view text);

// The syntax of everything both a manifest and a descriptor have. Fails with `invalid`, naming the
// member.
Status check_adapter_facts(const AdapterFacts& facts);

}  // namespace rap::loader
