// What this node refused and what fails on it, told to the control plane for its audit log: kept on
// disk first, in an outbox of its own, and sent until accepted.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "host/agent/session/events.hpp"

namespace rap::agent {

// docs/contracts/http-api.md lists the kinds.
enum class NodeEventKind {
  artifact_refused,
  metadata_refused,
  workload_failed,
  workload_recovered,
  sandbox_degraded,
  clock_wrong,
};
std::string_view name(NodeEventKind kind);

// Lets the same kind and subject through once in ten minutes, as the control plane does. Pure.
class EventLimiter {
 public:
  using Time = std::chrono::steady_clock::time_point;
  bool allow(NodeEventKind kind, const std::string& subject, Time now);

 private:
  std::map<std::pair<NodeEventKind, std::string>, Time> last_;
};

// At most `most` bytes of `text`, whole characters of UTF-8, without control characters.
std::string event_text(std::string_view text, std::size_t most);

// True for what a server or mirror may only cause by serving what it must not: not for what is
// away or not there yet.
bool is_refusal(Errc code);

class NodeEvents {
 public:
  NodeEvents(Context& context, ControlClient& control, Outbox outbox);

  // Durable when it returns, unless the disk is full, which is logged.
  void report(NodeEventKind kind, std::string_view subject, std::string_view detail);

  // Sends for ever; run it in the agent's task group.
  net::Task<void> run() { return sender_.run(); }

 private:
  SessionEvents sender_;
  EventLimiter limiter_;
};

}  // namespace rap::agent
