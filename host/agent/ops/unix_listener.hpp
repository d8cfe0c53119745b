// A unix socket where base/net expects a listener: the agent's local door.
#pragma once

#include <filesystem>
#include <memory>

#include "base/net/tcp.hpp"

namespace rap::agent {

// Binds `path` with mode 0600, replacing what an earlier agent left there.
Result<std::unique_ptr<net::Listener>> listen_unix(net::asio::any_io_executor executor,
                                                   const std::filesystem::path& path);

// One request to the ops socket, blocking, at most `limit`: the body of a 200, otherwise
// `unavailable` with the body as the reason. `not_found` when no agent is running.
struct OpsAnswer {
  unsigned status = 0;
  std::string body;
};
Result<OpsAnswer> ops_request(const std::filesystem::path& socket, std::string_view method,
                              std::string_view target, std::chrono::milliseconds limit);

}  // namespace rap::agent
