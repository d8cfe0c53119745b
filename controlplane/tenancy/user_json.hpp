// A person as owners see them.
#pragma once

#include <boost/json/fwd.hpp>

#include "controlplane/db/sql.hpp"

namespace rap::cp {

// Of id, login, display_name, is_owner, status, totp_enabled, created_at.
boost::json::object user_json(const Row& row);

}  // namespace rap::cp
