// Ending sessions because what they rest on was taken away.
#pragma once

#include <string>

#include "controlplane/http/call.hpp"

namespace rap::cp {

// Which live sessions; an empty member does not narrow.
struct SessionsOf {
  std::string organization = {};
  std::string assignment = {};  // the role they run under
  std::string resource = {};    // what they reach
  std::string user = {};        // who opened them
};

// In the transaction of the change, which has entered the person's scope: sets them `closing`,
// tells their nodes, and audits each as session.terminated with `reason`. A node that is away
// closes them when it is back.
void end_sessions(const Call& call, Tx& tx, const SessionsOf& which, const std::string& reason);

}  // namespace rap::cp
