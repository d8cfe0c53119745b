#include "plugins/mesh/metrics.hpp"

namespace rap::mesh {

const Metrics::Line Metrics::kLines[] = {
    {"mesh_peers", "", "nodes this one is linked with", RAP_METRIC_GAUGE,
     [](const Picture& p) { return static_cast<double>(p.peers); }},
    {"mesh_links", "", "connections with other nodes", RAP_METRIC_GAUGE,
     [](const Picture& p) { return static_cast<double>(p.links); }},
    {"mesh_people", "", "connections of clients", RAP_METRIC_GAUGE,
     [](const Picture& p) { return static_cast<double>(p.people); }},
    {"mesh_streams_here", "", "streams that end on this node", RAP_METRIC_GAUGE,
     [](const Picture& p) { return static_cast<double>(p.sessions); }},
    {"mesh_streams_entered", "", "streams of clients that go on from here", RAP_METRIC_GAUGE,
     [](const Picture& p) { return static_cast<double>(p.entered); }},
    {"mesh_streams_relayed", "", "streams between other nodes", RAP_METRIC_GAUGE,
     [](const Picture& p) { return static_cast<double>(p.relayed); }},
    {"mesh_streams_opened", "", "streams that ended on this node", RAP_METRIC_COUNTER,
     [](const Picture& p) { return static_cast<double>(p.opened); }},
    {"mesh_streams_resumed", "", "ways of such streams that were replaced", RAP_METRIC_COUNTER,
     [](const Picture& p) { return static_cast<double>(p.resumed); }},
    {"mesh_refused", "", "connections and streams that were refused", RAP_METRIC_COUNTER,
     [](const Picture& p) { return static_cast<double>(p.refused); }},
    {"mesh_carried", "B", "bytes of streams that pass, both ways", RAP_METRIC_COUNTER,
     [](const Picture& p) { return static_cast<double>(p.carried); }},
    {"mesh_ended", "B", "bytes of streams that ended here, both ways", RAP_METRIC_COUNTER,
     [](const Picture& p) { return static_cast<double>(p.ended); }},
};

Metrics::Metrics(Host host) : host_(host), table_(host.find<rap_host_metrics_1>()) {
  static_assert(std::size(kLines) == kLineCount);
  if (table_ == nullptr) return;
  for (std::size_t i = 0; i < kLineCount; ++i) {
    const Line& line = kLines[i];
    check(table_->define(host_.raw, line.kind, line.name, line.unit, line.help, &ids_[i]),
          "metrics");
  }
}

void Metrics::record(const Picture& now) {
  if (table_ == nullptr) return;
  for (std::size_t i = 0; i < kLineCount; ++i) {
    const double value = kLines[i].value(now);
    if (kLines[i].kind == RAP_METRIC_GAUGE) {
      table_->record(host_.raw, ids_[i], value);
    } else if (value > told_[i]) {  // a counter begins anew with the mesh
      table_->record(host_.raw, ids_[i], value - told_[i]);
    }
    told_[i] = value;
  }
}

}  // namespace rap::mesh
