// Capabilities as nodes report them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/result.hpp"

namespace rap::cp {

struct Capability {
  std::string name;    // "can_run_ssh_worker"
  std::string detail;  // JSON object as text
};

// Items are names or {"name":..,"detail":..}; a detail that is no object becomes {"text":..}.
// `invalid` for another shape, a name outside [a-z0-9_]{1,64}, or more than 64.
Result<std::vector<Capability>> parse_capabilities(const boost::json::array& items);

}  // namespace rap::cp
