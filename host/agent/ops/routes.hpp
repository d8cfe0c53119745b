// What the ops socket answers.
#pragma once

#include <functional>

#include "base/net/http_server.hpp"
#include "host/agent/run/agent.hpp"

namespace rap::agent {

// GET /livez /readyz /startupz (200 or 503 with the reason), /metrics, /v1/status;
// POST /stop: everything to its end, then `stopped` is called and the agent leaves.
net::HttpHandler ops_handler(Agent& agent, std::function<void()> stopped);

}  // namespace rap::agent
