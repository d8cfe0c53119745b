#include "host/agent/ops/routes.hpp"

#include <boost/json.hpp>

namespace rap::agent {
namespace {

net::HttpResponse text(unsigned status, std::string body, std::string type = "text/plain") {
  net::HttpResponse out;
  out.status = status;
  out.headers.set("Content-Type", std::move(type));
  out.body = std::move(body);
  return out;
}

net::HttpResponse probe(const std::optional<std::string>& trouble) {
  return trouble ? text(503, *trouble + "\n") : text(200, "ok\n");
}

net::Task<net::HttpResponse> answer(Agent& agent, std::string method, std::string path,
                                    std::function<void()> stopped) {
  if (method == "GET") {
    if (path == "/livez") co_return text(200, "ok\n");
    if (path == "/readyz") co_return probe(agent.not_ready());
    if (path == "/startupz") co_return probe(agent.not_started());
    if (path == "/metrics") co_return text(200, agent.metrics(), "text/plain; version=0.0.4");
    if (path == "/v1/status") {
      co_return text(200, boost::json::serialize(agent.status()) + "\n", "application/json");
    }
  }
  if (method == "POST" && path == "/stop") {
    co_await agent.stop_all();
    stopped();
    co_return text(200, "stopped\n");
  }
  co_return text(404, "no such thing; see docs/node-agent.md\n");
}

}  // namespace

net::HttpHandler ops_handler(Agent& agent, std::function<void()> stopped) {
  return [&agent, stopped = std::move(stopped)](const net::HttpRequest& request,
                                                const net::PeerInfo&) {
    return answer(agent, request.method, std::string(request.path()), stopped);
  };
}

}  // namespace rap::agent
