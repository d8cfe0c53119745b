// From the host's view of an identity to ours.
#pragma once

#include <rap/mesh.hpp>

#include "plugins/mesh/mesh.hpp"

namespace rap::mesh {

// Null: withdrawn.
inline GivenIdentityPtr copy_identity(const rap_identity& given) {
  if (given.chain_pem.len == 0) return nullptr;
  auto out = std::make_shared<GivenIdentity>();
  out->identity.certificate_pem = view(given.chain_pem);
  out->identity.key_pem = view(given.key_pem);
  return out;
}

}  // namespace rap::mesh
