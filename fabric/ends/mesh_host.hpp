// What an entry, a relay and an end need of the process they run in: its directory, its
// neighbours, its services.
#pragma once

#include "fabric/carry_lease.hpp"
#include "fabric/ends/path_picker.hpp"
#include "fabric/h2/connection.hpp"

namespace rap::fabric {

class ServiceEnd;

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

  // Asks a neighbour for a stream of that class. NetError when it cannot be asked; cancelled when
  // it takes too long.
  virtual net::Task<ConnectAnswer> open(std::string node, ConnectRequest request,
                                        routing::ChannelClass channel_class) = 0;
  // Carries bytes both ways until both directions ended, or one is lost, which ends the other too.
  // `organization` pays for it; empty: the platform.
  virtual net::Task<void> splice(std::unique_ptr<H2Stream> from, std::unique_ptr<H2Stream> to,
                                 std::string organization) = 0;
};

}  // namespace rap::fabric
