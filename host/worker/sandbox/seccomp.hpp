// The system calls that are denied, compiled to filters.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/result.hpp"
#include "host/worker/sandbox.hpp"

namespace rap::sandbox {

// In a filter of stage two: stands for the pid of the process that installs it.
inline constexpr std::uint32_t kPidPlaceholder = 0x5a5ec0de;

// docs/sandbox.md lists what each denies. Fails with `internal` when libseccomp does.
Result<std::vector<sock_filter>> filter_one(Network network);
Result<std::vector<sock_filter>> filter_two(Network network);

// For a process that has the network and no plugin: what filter_one() denies but sockets of the
// Internet and netlink (getaddrinfo asks which addresses this host has), no process but threads,
// no signal but to `own_pid`.
Result<std::vector<sock_filter>> filter_network(std::uint32_t own_pid);

// Needs no_new_privs. Allocates nothing.
Status install_filter(const sock_filter* filter, std::size_t count);

}  // namespace rap::sandbox
