// What the host hands to the adapters of the mesh, read: the document `access`, chains of
// certificates, the configuration. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "fabric/jws.hpp"

namespace rap::mesh {

// Who this node is, and whose leases count. Without keys none does: a node that is not active.
struct Access {
  std::string cluster_id;
  std::string node_id;
  std::vector<fabric::LeaseKey> lease_keys;
};

// {"format":1,"cluster_id":"cls_..","node_id":"nod_..","lease_keys":[{"kid","public"}]}, exactly
// these members. `malformed`, `too_large`, `invalid`; `unsupported` for another format.
inline constexpr std::size_t kAccessBytesMax = 16 * 1024;
Result<Access> parse_access(std::string_view json);

// The host's limit, and a chain of eight is longer than any that is made.
inline constexpr std::size_t kChainBytesMax = 64 * 1024;
inline constexpr std::size_t kChainMax = 8;
// The cluster's authority of a chain as rap.host.identity/1 has it: the certificate first, it last.
// `malformed`, `too_large`; `invalid` (the last one is no authority, or there is no other);
// `mismatch` (the first one names another than `spiffe_id`, or was not issued by it); `expired`.
Result<std::string> authority_of_chain(std::string_view chain_pem, std::string_view spiffe_id,
                                       SystemTime now);

// `endpoints` of the configuration: where other nodes reach this one, at most 8. `invalid` for what
// is no "host:port". What else stands there is for the control plane, and the schema knows it.
Result<std::vector<std::string>> endpoints_of_config(std::string_view json);
inline constexpr const char* kConfigSchema = R"({
  "type":"object","additionalProperties":false,
  "properties":{
    "endpoints":{"$ref":"#/$defs/addresses"},
    "public_endpoints":{"$ref":"#/$defs/addresses"}},
  "$defs":{"addresses":{
    "type":"array","maxItems":8,"items":{"type":"string","minLength":3,"maxLength":128}}}})";

}  // namespace rap::mesh
