// Lines to somewhere else than standard error: for a library in somebody else's process.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/log.hpp"

namespace rap::log {

// `fields` is a JSON object. Called on any thread, also on several at once; may not log.
using Sink = std::function<void(Level, std::string_view message, const std::string& fields)>;

// Every line that begins after the return goes there; an empty one: to standard error again. When
// it returns, nothing runs in the sink before.
void set_sink(Sink sink);

}  // namespace rap::log
