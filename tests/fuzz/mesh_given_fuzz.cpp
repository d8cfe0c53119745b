// What the host hands to the mesh: the document of leases, a chain of certificates, the
// configuration.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "plugins/mesh/given.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto access = rap::mesh::parse_access(text)) {
    // Whatever is taken can be used.
    if (!rap::fabric::JwsKeys::create(access->lease_keys)) __builtin_trap();
  }
  // Within the life of the seed's certificates, so that they are verified; and under a name that
  // none of them has.
  const auto now = rap::from_unix_seconds(1'795'329'000);
  const auto own = rap::mesh::authority_of_chain(text, "spiffe://cls_1/node/nod_1/mesh", now);
  if (own && own->empty()) __builtin_trap();
  if (rap::mesh::authority_of_chain(text, "spiffe://cls_1/entry", now)) __builtin_trap();
  if (const auto endpoints = rap::mesh::endpoints_of_config(text)) {
    if (endpoints->size() > 8) __builtin_trap();
  }
  return 0;
}
