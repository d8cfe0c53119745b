// rap.host.metrics/1: kept in memory, told by `status`.
#include <cstring>

#include "base/text.hpp"
#include "host/worker/plugin_host/plugin_host.hpp"

namespace rap::worker {
namespace {

constexpr std::size_t kTextMax = 128;

std::string text_of(const char* text) {
  // It goes into messages, which refuse what is no UTF-8.
  return text == nullptr ? std::string() : as_utf8({text, strnlen(text, kTextMax)});
}

rap_result define(const rap_host* raw, std::uint32_t kind, const char* name, const char* unit,
                  const char* help, std::uint32_t* id) {
  PluginHost& host = PluginHost::of(raw);
  if (!host.on_loop_or_blame("rap.host.metrics/1 define()")) return RAP_E_STATE;
  if (name == nullptr || id == nullptr || kind < RAP_METRIC_COUNTER ||
      kind > RAP_METRIC_HISTOGRAM) {
    return RAP_E_INVALID;
  }
  const std::uint32_t number =
      host.define_metric({text_of(name), text_of(unit), text_of(help), kind});
  if (number == 0) return RAP_E_RESOURCE;
  *id = number;
  return RAP_OK;
}

void record(const rap_host* raw, std::uint32_t id, double value) {
  PluginHost::of(raw).record_metric(id, value);
}

}  // namespace

const rap_host_metrics_1 kMetricsTable = {define, record};

}  // namespace rap::worker
