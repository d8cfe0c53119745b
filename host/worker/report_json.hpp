// The sandbox report as docs/contracts/ipc.md writes it.
#pragma once

#include <boost/json/fwd.hpp>

#include "host/worker/sandbox.hpp"

namespace rap::worker {

// An array of {"name","state","detail"}.
boost::json::array layers_json(const sandbox::Report& report);

}  // namespace rap::worker
