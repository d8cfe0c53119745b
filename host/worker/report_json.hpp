// The sandbox report, and what a plugin measured, as docs/contracts/ipc.md writes it.
#pragma once

#include <boost/json/fwd.hpp>

#include "host/worker/plugin_host/plugin_host.hpp"
#include "host/worker/sandbox.hpp"

namespace rap::worker {

// An array of {"name","state","detail"}.
boost::json::array layers_json(const sandbox::Report& report);
// An array of {"name","unit","value","count"}.
boost::json::array metrics_json(const std::vector<Metric>& metrics);

}  // namespace rap::worker
