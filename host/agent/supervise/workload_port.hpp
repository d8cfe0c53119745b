// What the agent does for a workload (an adapter without sessions) besides supervising it: sockets
// that listen for it, and what it may know and reach.
#pragma once

#include <string>

#include "base/file.hpp"
#include "base/result.hpp"
#include "host/agent/snapshot/applied.hpp"

namespace rap::agent {

struct ListeningSocket {
  Fd fd;
  std::string address;  // "host:port", with the port the kernel chose for 0
};

// Binds a TCP socket to a numeric "host:port" or "[host]:port". `invalid` for another text,
// `conflict` when the address is taken, `forbidden` when it may not be bound.
Result<ListeningSocket> listen_tcp(const std::string& host_port);

// The document "resources" for workloads of `role` in `organization`: what they may name in
// rap.host.stream/1, without addresses and secrets. Pure.
std::string resources_document(const Applied& applied, const std::string& role,
                               const std::string& organization);

// The document "access" for the mesh: who signs leases here. Without keys while the node is not
// active: it opens nothing new. Pure.
std::string access_document(const Applied& applied);

// Where a workload's stream to `target` goes: a resource of its own role and organization.
// `forbidden` for everything else. Pure.
Result<Resource> workload_target(const Applied& applied, const std::string& role,
                                 const std::string& organization, const std::string& target);

}  // namespace rap::agent
