// Keys that sign leases, as one process of a node tells another.
#pragma once

#include "fabric/jws.hpp"

namespace rap::fabric {

// Keys rotate one by one; more than this is a mistake in the snapshot.
inline constexpr std::size_t kLeaseKeysMax = 16;

// The member `lease_keys` of `object`: [{"kid","public":"<hex>"}]. `invalid`, `malformed`,
// `too_large`. Whether a kid is that of its key says JwsKeys::create().
Result<std::vector<LeaseKey>> lease_keys_from_json(const boost::json::object& object);

}  // namespace rap::fabric
