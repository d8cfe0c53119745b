// rap.host.health/1
#include "host/worker/plugin_host/plugin_host.hpp"

namespace rap::worker {
namespace {

void report(const rap_host* raw, const rap_health* given) {
  if (given == nullptr) return;
  rap_health health;
  rap_take(&health, sizeof health, given, given->size);
  health.note[sizeof health.note - 1] = '\0';
  PluginHost::of(raw).report_health(health);
}

}  // namespace

const rap_host_health_1 kHealthTable = {report};

}  // namespace rap::worker
