// What a client asks of its entry and a node of the next one, and the answers: the headers of
// docs/contracts/mesh-streams.md. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fabric/h2/connection.hpp"
#include "fabric/mesh_names.hpp"
#include "fabric/routing/types.hpp"

namespace rap::fabric {

// Three relays and the end: routing::kPathNodesMax without the node that asks.
inline constexpr std::size_t kPathAheadMax = routing::kPathNodesMax - 1;

struct MeshRequest {
  MeshTarget target;
  std::string carry;  // empty: a node's own stream, which may go to its echo only
  routing::ChannelClass channel_class = routing::ChannelClass::interactive;
  std::vector<std::string> path;  // nodes still ahead, the receiver first; empty from a client
  bool trace = false;             // the answer shall carry rap-hops
};

enum class Asker { client, node };

// Fails with `malformed` (a header missing, twice, or of another form; a path from a client),
// `too_large` (the carry lease, the path), `unsupported` (another service on a node).
Result<MeshRequest> parse_mesh_request(const ConnectRequest& request, Asker asker);
// As one node sends it to the next.
ConnectRequest to_connect_request(const MeshRequest& request);

// "nod_a,nod_b": 1 to kPathAheadMax nodes, none twice. `malformed`, `too_large`.
Result<std::vector<std::string>> parse_path(std::string_view text);
std::string format_path(const std::vector<std::string>& nodes);

// How long a node took to set up the rest of the way.
struct HopTime {
  std::string node;
  double setup_ms = 0;
};
// "nod_a=12.34,nod_b=0.50", the nearest first, at most routing::kPathNodesMax. `malformed`,
// `too_large`.
Result<std::vector<HopTime>> parse_hops(std::string_view text);
std::string format_hops(const std::vector<HopTime>& hops);

// Why a stream was not opened.
struct HopRefusal {
  Error error;
  std::string failed_node;  // between nodes: who could not be reached or would not; empty: nobody
};
// 400, 403, 404 or 503.
unsigned refusal_status(Errc code);
net::HttpHeaders refusal_headers(const HopRefusal& refusal);
// Of an answer that is not 2xx, from a stranger: what it says is cut to what can be said.
HopRefusal read_refusal(const ConnectAnswer& answer);
// What a client may hear of an error that came from inside the mesh: its code, and a sentence that
// names no node, address or reason of another.
Error told_to_client(const Error& error);

inline constexpr std::string_view kCarryHeader = "rap-carry";
inline constexpr std::string_view kClassHeader = "rap-class";
inline constexpr std::string_view kPathHeader = "rap-path";
inline constexpr std::string_view kServiceHeader = "rap-service";
inline constexpr std::string_view kTraceHeader = "rap-trace";
inline constexpr std::string_view kHopsHeader = "rap-hops";
inline constexpr std::string_view kFailedHeader = "rap-failed";
inline constexpr std::string_view kEchoService = "synthetic.echo";

}  // namespace rap::fabric
