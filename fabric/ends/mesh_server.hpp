// What a node does with a stream that a client, or another node, asks it for: entry, relay, end.
// docs/contracts/mesh-streams.md, "Requests".
#pragma once

#include <map>

#include "fabric/ends/admission.hpp"
#include "fabric/ends/echo.hpp"
#include "fabric/ends/mesh_host.hpp"
#include "fabric/ends/request.hpp"

namespace rap::fabric {

struct MeshServerLimits {
  PickerLimits picker;
  AdmissionLimits entry;
  AdmissionLimits relay;
  EchoLimits echo;
};

struct MeshServerCounts {
  std::uint64_t entered = 0;  // streams of clients that were opened
  std::uint64_t relayed = 0;
  std::uint64_t ended = 0;    // here
  std::uint64_t retried = 0;  // ways of clients' streams that were replaced while opening
  std::size_t open = 0;       // entered and relayed now
  std::size_t relaying = 0;   // those of them that are relayed
  std::map<std::string, std::uint64_t> refused;  // by code
};

// One executor. Calls run in the task group of the connection they came over, and end with it.
class MeshServer {
 public:
  explicit MeshServer(MeshHost& host, MeshServerLimits limits = {});

  // The role entry-node: a stream of a client that showed this certificate.
  net::Task<void> serve_client(std::unique_ptr<IncomingConnect> incoming,
                               Sha256Digest client_certificate);
  // The roles core-mesh (this node is the end) and relay-node: a stream from the node that showed
  // the mesh certificate of `from`.
  net::Task<void> serve_node(std::unique_ptr<IncomingConnect> incoming, std::string from);

  // A stream of this node itself to the synthetic.echo of another one. Fails as a client is
  // refused, with `unsupported` for a service, `invalid` for this node.
  net::Task<Result<std::unique_ptr<H2Stream>>> open_own(MeshTarget target,
                                                        routing::ChannelClass channel_class);

  MeshServerCounts counts() const;

 private:
  struct Asked;  // one stream, while its way is being opened
  struct Way;    // how that ended

  Result<Asked> check_client(const ConnectRequest& request, const Sha256Digest& certificate);
  net::Task<HopRefusal> ask(const std::string& node, const MeshRequest& request,
                            net::milliseconds patience, ConnectAnswer& answer);
  net::Task<Way> open_way(const WantedPath& wanted, MeshRequest& request,
                          const IncomingConnect* asker);
  net::Task<void> end_here(std::unique_ptr<IncomingConnect> incoming, const Asked& asked);
  net::Task<void> carry(std::unique_ptr<IncomingConnect> incoming, const Asked& asked,
                        ConnectAnswer answer, bool relayed);
  net::HttpHeaders hops_header(const Asked& asked, std::string_view rest);
  void refuse(IncomingConnect& incoming, const HopRefusal& refusal);
  std::string own_id();

  MeshHost& host_;
  const MeshServerLimits limits_;
  Admission entry_;
  Admission relay_;
  MeshServerCounts counts_;
};

}  // namespace rap::fabric
