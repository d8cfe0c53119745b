#include "adapter.hpp"

namespace rap::ssh {

void SshAdapter::start() {
  host.log(RAP_LOG_INFO, "ssh adapter started");
}

void SshAdapter::health(rap_health& report) {
  report.sessions = counters_.sessions;
  report.streams = counters_.sessions;
}

std::unique_ptr<rap::Session> SshAdapter::open(Sink sink, const rap_session_want& want) {
  return std::make_unique<SshSession>(host, sink, want, counters_);
}

}  // namespace rap::ssh
