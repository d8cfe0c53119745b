// How a session is reached: what the control plane answers when one is opened or attached to.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/result.hpp"
#include "fabric/ends/session_client.hpp"

namespace rap::cli {

// Over the mesh: entries, and the service behind them.
struct MeshWay {
  std::vector<std::string> entries;  // "host:port", the best first
  std::string service;               // svc_..
  std::string cluster_ca_pem;
  fabric::CarryGrant carry;
  std::string lease;
};

// Straight to the node.
struct NodeWay {
  std::string endpoint;
  std::string spiffe_id;
  std::string cluster_ca_pem;
  std::string lease;
};

struct SessionAccess {
  std::string session_id;
  std::string cluster_id;
  std::optional<MeshWay> mesh;  // is the one to take when there are both
  std::optional<NodeWay> node;
};

// Pure. `invalid` or `malformed` names the member. A mesh that cannot be read is an error also when
// there is a node: nobody falls back without saying so.
Result<SessionAccess> parse_session_access(const boost::json::value& answer);

// {"carry","carry_expires_at"} of an answer.
Result<fabric::CarryGrant> parse_carry_grant(const boost::json::object& answer);

// {"entries"} of an answer: 1 to 16 texts.
Result<std::vector<std::string>> parse_entries(const boost::json::object& answer);

}  // namespace rap::cli
