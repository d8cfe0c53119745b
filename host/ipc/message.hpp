// What a packet says: the JSON object of docs/contracts/ipc.md, taken apart in one place.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

#include "host/ipc/channel.hpp"

namespace rap::ipc {

using JsonPtr = std::shared_ptr<const boost::json::object>;

// A parsed packet. An answer has an `id` and no `op`; a request has both; an event has an `op` and
// no `id`.
struct Message {
  JsonPtr body;  // never null
  std::vector<Fd> fds;
  std::string op;
  std::optional<std::int64_t> id;

  bool is_answer() const { return op.empty() && id; }
};

// `malformed` for anything that is not a JSON object with an `op`, or an `id`, or both.
Result<Message> parse_message(Packet packet);

// The answer's outcome: the message itself, or the Error that its `code` and `detail` say.
Result<Message> outcome(Message answer);

// Texts of packets. `members` has neither `id` nor `ok`. Whoever sends a text that holds a secret
// wipes it afterwards (IpcClient does).
std::string answer_text(std::int64_t id, const boost::json::object& members);
std::string refusal_text(std::int64_t id, const Error& error);

}  // namespace rap::ipc
