#include "host/worker/report_json.hpp"

#include <boost/json.hpp>

namespace rap::worker {

boost::json::array layers_json(const sandbox::Report& report) {
  boost::json::array out;
  for (const sandbox::Layer& layer : report.layers()) {
    out.push_back(
        {{"name", layer.name}, {"state", sandbox::name(layer.state)}, {"detail", layer.detail}});
  }
  return out;
}

}  // namespace rap::worker
