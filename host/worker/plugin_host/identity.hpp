// A certificate with its key, as the agent sent it and rap.host.identity/1 shows it.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include <boost/json/fwd.hpp>

#include "base/result.hpp"
#include "host/worker/locked_buffer.hpp"

namespace rap::worker {

// Chain and key. A chain of four certificates with many names is a tenth of that.
inline constexpr std::uint64_t kIdentityBytesMax = 64u << 10;
// Services of a node (docs/contracts/mesh-streams.md), the mesh's and the entry's.
inline constexpr std::size_t kIdentitiesMax = 1'026;

struct Identity {
  Identity(std::uint32_t the_kind, std::string the_organization, std::string the_service,
           std::size_t chain, ByteView bytes)
      : kind(the_kind),
        organization(std::move(the_organization)),
        service(std::move(the_service)),
        chain_bytes(chain),
        pem(bytes) {}

  const std::uint32_t kind;  // RAP_IDENTITY_*
  const std::string organization, service;
  const std::size_t chain_bytes;
  const LockedBuffer pem;  // chain, then key; empty when it was withdrawn

  bool withdrawn() const { return pem.bytes().empty(); }
};
// Owners: the workload, and each adapter's host until the next of its key comes.
using IdentityPtr = std::shared_ptr<const Identity>;
using IdentityKey = std::pair<std::uint32_t, std::string>;  // kind, organization

// `body` is a message `identity`; `pem` its memfd's bytes, empty for a withdrawal. `invalid`.
Result<IdentityPtr> parse_identity(const boost::json::object& body, ByteView pem);

}  // namespace rap::worker
