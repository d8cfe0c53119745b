// The sandbox report as docs/contracts/ipc.md writes it.
#pragma once

#include <boost/json.hpp>

#include "host/worker/sandbox.hpp"

namespace rap::worker {

inline boost::json::array layers_json(const sandbox::Report& report) {
  boost::json::array out;
  for (const sandbox::Layer& layer : report.layers()) {
    out.push_back(
        {{"name", layer.name}, {"state", sandbox::name(layer.state)}, {"detail", layer.detail}});
  }
  return out;
}

}  // namespace rap::worker
