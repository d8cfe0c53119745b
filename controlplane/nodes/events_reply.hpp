// The answer to events that a node sends.
#pragma once

#include <boost/json/object.hpp>

#include "controlplane/http/call.hpp"

namespace rap::cp {

// {"accepted","ignored"}: `record` says of each whether it was taken.
template <typename Events, typename Record>
Reply events_reply(const Events& events, Record record) {
  std::int64_t accepted = 0;
  for (const auto& event : events) accepted += record(event) ? 1 : 0;
  boost::json::object body;
  body["accepted"] = accepted;
  body["ignored"] = static_cast<std::int64_t>(events.size()) - accepted;
  return json_reply(200, body);
}

}  // namespace rap::cp
