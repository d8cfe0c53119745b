// Where Prometheus asks: a listener of its own, so that the API need not tell everybody.
#pragma once

#include <memory>

#include "base/net/http_server.hpp"
#include "controlplane/metrics/metrics.hpp"

namespace rap::cp {

// GET /metrics over plain HTTP on `listener`; anything else is 404. `metrics` outlives the server.
std::unique_ptr<net::HttpServer> make_metrics_server(net::asio::any_io_executor executor,
                                                     std::unique_ptr<net::Listener> listener,
                                                     const Metrics& metrics);

}  // namespace rap::cp
