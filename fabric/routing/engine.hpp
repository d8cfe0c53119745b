// Chooses paths: the cheapest that the rules allow, from signed facts and what was measured. A pure
// function: the same inputs give the same answer (replay.hpp writes them down).
#pragma once

#include <span>

#include "fabric/routing/measurements.hpp"
#include "fabric/routing/request.hpp"

namespace rap::routing {

// Relays that one decision compares: those connected now, those the destinations are attached to,
// the least loaded of both regions. What a decision costs is looking up what is known of links;
// with twenty that is a hundred look-ups, which fits 50 us.
inline constexpr std::size_t kRelaysConsidered = 20;
// Of the members of a service or pool, so many are routed to; the rest are worse by themselves.
inline constexpr std::size_t kDestinationsMax = 4;

// Writes the best paths to `out`, the one to use first; the others in the order of cost, not all
// over one first relay when there are others. Allocates nothing and takes no longer for a larger
// directory, but when no likely relay serves: then every relay is looked at once.
// `measurements` and the paths in `request` are in the indices of `directory`.
Decision decide(const Directory& directory, const Measurements& measurements,
                const Request& request, Moment now, std::span<Candidate> out);

// The same path in the indices of a newer directory; count 0 when a node is gone.
Path rebound(const Path& path, const Directory& from, const Directory& to);

}  // namespace rap::routing
