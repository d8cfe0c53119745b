// The next carry lease of a session that goes on, asked for beside the session.
#pragma once

#include <string>

#include "base/net/task.hpp"
#include "cli/config.hpp"
#include "fabric/ends/session_client.hpp"

namespace rap::cli {

// Asks POST /v1/sessions/{id}/carry on `executor`, where the session's stream runs, over a
// connection of its own: the terminal does not wait for it. `certificate_sha256` in base64url, of
// the client certificate that the session's leases name. Throws Failure as http_options(). What
// comes back fails with the server's code and words, or with why it was not reached.
fabric::RenewCarry carry_renewal(const Context& context, net::asio::any_io_executor executor,
                                 const std::string& session_id, std::string certificate_sha256);

}  // namespace rap::cli
