// Policy in JSON. Inside fabric/routing only.
#pragma once

#include <boost/json/fwd.hpp>

#include "base/result.hpp"
#include "fabric/routing/policy.hpp"

namespace rap::routing {

// Members that are absent keep their defaults. Checks that sizes and times agree with each other.
Result<Policy> read_policy(const boost::json::object& object);
boost::json::object write_policy(const Policy& policy);

}  // namespace rap::routing
