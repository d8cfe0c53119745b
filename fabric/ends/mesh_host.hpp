// What an entry, a relay and an end need of the process they run in: its directory, its
// neighbours, its services.
#pragma once

#include "fabric/carry_lease.hpp"
#include "fabric/ends/path_picker.hpp"
#include "fabric/h2/connection.hpp"

namespace rap::fabric {

class ServiceEnd;

// A stream that passes.
struct Passing {
  std::string organization;  // who pays for it; empty: the platform
  bool relayed = false;      // from node to node; else from a client
};

// One executor; outlives whoever uses it.
class MeshHost {
 public:
  virtual ~MeshHost() = default;

  // Asked before each decision; the directory stays as it is while somebody holds it.
  virtual RouteView routes() = 0;
  virtual const CarryVerifier& carry_verifier() = 0;
  virtual routing::Moment now() = 0;
  // Null: ways that worked are not remembered.
  virtual routing::RouteCache* route_cache() = 0;
  // Null: no organization's streams end here.
  virtual ServiceEnd* services() = 0;
  // Whether this process may carry streams between other nodes. What the directory says of this
  // node is checked besides.
  virtual bool relays() = 0;

  // Asks a neighbour for a stream of that class. NetError when it cannot be asked; cancelled when
  // it takes too long.
  virtual net::Task<ConnectAnswer> open(std::string node, ConnectRequest request,
                                        routing::ChannelClass channel_class) = 0;
  // Carries bytes both ways until both directions ended, or one is lost, which ends the other too.
  virtual net::Task<void> splice(std::unique_ptr<H2Stream> from, std::unique_ptr<H2Stream> to,
                                 Passing as) = 0;
};

}  // namespace rap::fabric
