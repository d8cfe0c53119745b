#include "controlplane/metrics/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <vector>

namespace rap::cp {

struct Metrics::Impl {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests = prometheus::BuildCounter()
                                                          .Name("rap_http_requests_total")
                                                          .Help("Requests by method and status")
                                                          .Register(registry);
  prometheus::Histogram& seconds =
      prometheus::BuildHistogram()
          .Name("rap_http_request_seconds")
          .Help("Time from request to response, long polls included")
          .Register(registry)
          .Add({}, prometheus::Histogram::BucketBoundaries{0.001, 0.005, 0.02, 0.1, 0.5, 2, 30});
  std::vector<std::pair<prometheus::Gauge*, std::function<double()>>> gauges;
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

void Metrics::request(std::string_view method, unsigned status, std::chrono::microseconds took) {
  // Methods come from the network: only the known ones become labels.
  std::string label = "other";
  for (const char* known : {"GET", "POST", "PATCH", "DELETE"}) {
    if (method == known) label = known;
  }
  impl_->requests.Add({{"method", label}, {"status", std::to_string(status)}}).Increment();
  impl_->seconds.Observe(std::chrono::duration<double>(took).count());
}

void Metrics::gauge(const std::string& name, const std::string& help,
                    std::function<double()> read) {
  auto& gauge = prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry).Add({});
  impl_->gauges.emplace_back(&gauge, std::move(read));
}

std::string Metrics::text() const {
  for (const auto& [gauge, read] : impl_->gauges) gauge->Set(read());
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace rap::cp
