// What happened to sessions, told to the control plane: kept on disk first, sent in order, again
// until accepted.
#pragma once

#include <deque>
#include <functional>
#include <string>

#include <boost/json/fwd.hpp>

#include "base/net/event.hpp"
#include "host/agent/control/control_client.hpp"
#include "host/agent/run/context.hpp"
#include "host/agent/state/outbox.hpp"

namespace rap::agent {

class SessionEvents {
 public:
  // `target` takes `{"events":[..]}` of this kind.
  SessionEvents(Context& context, ControlClient& control, Outbox outbox,
                std::string target = "/v1/node/session-events");

  // `kept` is called when the event is durable, at once or later, in the order of the calls; only
  // then may the worker's event be acknowledged, since that acknowledges every earlier one too.
  // What a full disk does not take waits in memory and is tried again. Fails when that is full, or
  // the event can never be kept. `event` needs `event_id`, `kind` and `at`.
  Status keep(const boost::json::object& event, std::function<void()> kept = {});

  // Sends for ever; run it in the agent's task group.
  net::Task<void> run();

  std::size_t waiting() const { return outbox_.size() + unkept_.size(); }
  std::uint64_t dropped() const { return outbox_.dropped() + refused_; }
  // Why the disk does not take events; empty when it does.
  const std::string& disk_trouble() const { return disk_trouble_; }

 private:
  struct Unkept {
    std::string text;
    std::function<void()> kept;
  };
  Status append(const std::string& text, const std::function<void()>& kept);
  net::Task<void> retry();

  Context& context_;
  ControlClient& control_;
  Outbox outbox_;
  std::string target_;
  net::Event work_;
  std::string disk_trouble_;
  std::deque<Unkept> unkept_;
  bool retrying_ = false;
  std::uint64_t refused_ = 0;
};

// The same event always gets the same id, so that a worker that sends it again, or an agent that
// crashed between keeping and acknowledging, does no harm.
std::string event_id_of(std::string_view session, std::string_view nonce, std::int64_t event_seq);

}  // namespace rap::agent
