// From an HTTP request to the handler of its route and back.
#pragma once

#include "base/net/http_server.hpp"
#include "controlplane/http/route.hpp"
#include "controlplane/http/services.hpp"

namespace rap::cp {

// Not movable; must outlive the server that calls it. On the server's executor.
class Api {
 public:
  Api(const Services& services, std::vector<Route> routes);

  // Never throws but for cancellation: every failure is a problem document.
  net::Task<net::HttpResponse> handle(const net::HttpRequest& request, const net::PeerInfo& peer);

  const RouteTable& table() const { return table_; }

 private:
  // Sets `matched` as soon as the route is known.
  net::Task<Reply> dispatch(const net::HttpRequest& request, const net::PeerInfo& peer,
                            const Route*& matched);

  const Services& services_;
  RouteTable table_;
};

// Every route of the control plane.
std::vector<Route> all_routes();

}  // namespace rap::cp
