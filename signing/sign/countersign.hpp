// Collecting the signatures of R's `trust` role on the first root of a cluster's director. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "signing/verify/countersignature.hpp"

namespace rap::sign {

struct Countersigned {
  std::string document;  // the file: the same `signed`, its own signatures and those of `trust`
  tuf::Countersignatures count;
};

// Adds to `stored` the signatures that `offered`, a copy that was with the holders, has gained.
// Signatures of keys that are no longer of the role go, so there are never more than the two roles
// have keys. Fails, naming the key, with `bad_signature` when `offered` has a signature that is not
// good or of another key; `mismatch` when it is not the same `signed`; `not_found` when R (its
// top-level targets, `release`) has no role `trust`; as parse_root for bytes that are none.
Result<Countersigned> add_countersignatures(std::string_view stored, ByteView offered,
                                            const tuf::Targets& release);

}  // namespace rap::sign
