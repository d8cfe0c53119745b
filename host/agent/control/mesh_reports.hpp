// Brings what the node's mesh says of its links to the control plane.
#pragma once

#include <string>
#include <vector>

#include "base/net/event.hpp"
#include "base/net/task.hpp"
#include "host/agent/control/control_client.hpp"
#include "host/agent/control/report_pace.hpp"
#include "host/agent/run/context.hpp"

namespace rap::agent {

class MeshReports {
 public:
  // Both outlive it.
  MeshReports(Context& context, ControlClient& control);

  // The newest counts. `endpoints`: where the mesh listens, for a report that does not say it.
  void take(boost::json::object report, const std::vector<std::string>& endpoints);
  // Until cancelled.
  net::Task<void> run();

 private:
  net::Task<void> send();

  Context& context_;
  ControlClient& control_;
  ReportPace pace_;
  net::Event wake_;
  std::string trouble_;
};

}  // namespace rap::agent
