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

boost::json::array metrics_json(const std::vector<Metric>& metrics) {
  boost::json::array out;
  for (const Metric& metric : metrics) {
    out.push_back({{"name", metric.name},
                   {"unit", metric.unit},
                   {"value", metric.value},
                   {"count", metric.count}});
  }
  return out;
}

}  // namespace rap::worker
