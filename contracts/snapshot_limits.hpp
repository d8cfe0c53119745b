// How large what a node is told may be: the control plane refuses more, the agent reads no more
// (docs/contracts/snapshots.md).
#pragma once

#include <cstddef>

#include "base/json.hpp"

namespace rap {

// One document. A node serves tens of organizations; the worker maps it as one piece.
inline constexpr std::size_t kSnapshotBytesMax = 16u << 20;
inline constexpr std::size_t kAssignmentsMax = 1'000;
inline constexpr std::size_t kLeaseKeysMax = 16;
inline constexpr std::size_t kResourcesMax = 20'000;

// A DNS label; host names of Linux have 64 bytes at most.
inline constexpr std::size_t kNodeNameMax = 64;

// `options` of one resource: known hosts of a fleet; what a protocol needs is flat.
inline constexpr JsonLimits kOptionsLimits{.bytes_max = 16 * 1024, .depth_max = 8};

// Of one organization, so that many share a node: its part of the limits above.
inline constexpr std::size_t kOrganizationResourcesMax = 1'000;
inline constexpr std::size_t kOrganizationResourceBytesMax = 1u << 20;

}  // namespace rap
