// What the listener gives up before it reads a byte of the network.
#pragma once

#include "host/worker/sandbox.hpp"

namespace rap::listener {

// Nobody's: not 65534, which workers are where there are no user namespaces.
inline constexpr unsigned kListenerId = 65533;

// Started as root: becomes kListenerId, with no capability but that for ports below 1024 (the
// address to listen on comes later). Always: no_new_privs, Landlock (reads libraries, /etc and
// where resolvers write; the network stays), seccomp (no exec, ptrace, mount, namespace, other
// process). The process must have one thread. Fails when user, no_new_privs or seccomp cannot be
// set; without Landlock it goes on. The report has each layer.
Result<sandbox::Report> confine();

}  // namespace rap::listener
