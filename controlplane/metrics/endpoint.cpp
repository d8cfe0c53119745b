#include "controlplane/metrics/endpoint.hpp"

namespace rap::cp {
namespace {

net::Task<net::HttpResponse> answer(const Metrics& metrics, bool known) {
  net::HttpResponse out;
  out.status = known ? 200 : 404;
  out.headers.set("Content-Type", known ? "text/plain; version=0.0.4" : "text/plain");
  out.body = known ? metrics.text() : "only GET /metrics is answered here\n";
  co_return out;
}

}  // namespace

std::unique_ptr<net::HttpServer> make_metrics_server(net::asio::any_io_executor executor,
                                                     std::unique_ptr<net::Listener> listener,
                                                     const Metrics& metrics) {
  net::HttpServerLimits limits;
  limits.connections_max = 32;   // two scrapers, and a person with curl
  limits.body_bytes_max = 1024;  // nobody has anything to send
  limits.header_bytes_max = 8 * 1024;
  return std::make_unique<net::HttpServer>(
      executor, std::move(listener), std::nullopt,
      [&metrics](const net::HttpRequest& request, const net::PeerInfo&) {
        return answer(metrics, request.method == "GET" && request.path() == "/metrics");
      },
      limits);
}

}  // namespace rap::cp
