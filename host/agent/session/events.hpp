// What happened to sessions, told to the control plane: kept on disk first, sent in order, again
// until accepted.
#pragma once

#include <string>

#include <boost/json/fwd.hpp>

#include "base/net/event.hpp"
#include "host/agent/control/control_client.hpp"
#include "host/agent/run/context.hpp"
#include "host/agent/state/outbox.hpp"

namespace rap::agent {

class SessionEvents {
 public:
  SessionEvents(Context& context, ControlClient& control, Outbox outbox);

  // Durable when it succeeds; only then may the worker's event be acknowledged. `event` needs
  // `event_id`, `session_id`, `kind` and `at`.
  Status keep(const boost::json::object& event);

  // Sends for ever; run it in the agent's task group.
  net::Task<void> run();

  std::size_t waiting() const { return outbox_.size(); }
  std::uint64_t dropped() const { return outbox_.dropped(); }
  // Why the last keep() failed; empty when it did not.
  const std::string& disk_trouble() const { return disk_trouble_; }

 private:
  Context& context_;
  ControlClient& control_;
  Outbox outbox_;
  net::Event work_;
  std::string disk_trouble_;
};

// The same event always gets the same id, so that a worker that sends it again, or an agent that
// crashed between keeping and acknowledging, does no harm.
std::string event_id_of(std::string_view session, std::string_view nonce, std::int64_t event_seq);

}  // namespace rap::agent
