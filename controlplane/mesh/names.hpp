// Names of the mesh that the control plane makes or checks. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/id.hpp"
#include "base/result.hpp"

namespace rap {
namespace id_kind {
struct MeshService {
  static constexpr std::string_view prefix = "svc_";
};
struct EgressPool {
  static constexpr std::string_view prefix = "egp_";
};
}  // namespace id_kind
using MeshServiceId = Id<id_kind::MeshService>;
using EgressPoolId = Id<id_kind::EgressPool>;
}  // namespace rap

namespace rap::cp {

// 26 random characters: unlike other ids it does not tell when it was made, so that two services of
// one node have nothing in common.
MeshServiceId fresh_service_id();

// A node has two addresses of two families, twice.
inline constexpr std::size_t kPublicEndpointsMax = 8;

// Where people reach an entry: `public_endpoints` of the assignment's `config`, ["host:port", ..].
// None when it is absent; `invalid` naming what is wrong with it.
Result<std::vector<std::string>> public_endpoints(const boost::json::object& policy);
// The hosts of such endpoints, once each, addresses without brackets: what its certificate says.
// `invalid` for a name that no certificate may carry.
Result<std::vector<std::string>> certificate_hosts(const std::vector<std::string>& endpoints);

// "host:port" or "[v6]:port" as nodes may have them in directories.
bool is_mesh_endpoint(std::string_view text);

// A text as a name in a directory: [A-Za-z0-9._+-], 1 to 64. Anything else becomes '-'.
std::string directory_name(std::string_view text, std::string_view otherwise);
bool is_directory_name(std::string_view text);

}  // namespace rap::cp
