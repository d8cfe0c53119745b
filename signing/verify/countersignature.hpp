// Who vouches for the first root of a cluster's director (D): the release repository (R), whose
// keys people hold. Pure: no file, no network.
//
// The rule (updates.md 4.1): version 1 of a D root is believed when it has, besides the threshold
// of its own `root` role, the threshold of the role `trust` that R's targets metadata delegates to.
// That role is a list of keys and nothing more: it has no metadata file and its one path is no
// target's, so R never names a cluster. Signatures are counted as TUF counts them for any role
// (specification 4.2.1): different keys, each over the canonical form of `signed`. From version 2
// on a D root is judged by the keys of the version before, as any root is (5.3).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "signing/verify/metadata.hpp"

namespace rap::tuf {

inline constexpr std::string_view kTrustRole = "trust";
// TUF wants a path of every delegated role. No file of R or D is below trust/.
inline constexpr std::string_view kTrustPath = "trust/none";

// Reads version 1 of a D root. `malformed`, `unsupported` or `too_large` as parse_root; `mismatch`
// when it is another version or names no cluster; `bad_signature` when it did not sign itself.
Result<Document<Root>> parse_director_root(ByteView bytes);

struct Countersignatures {
  std::vector<std::string> key_ids;  // of `trust`, each with a good signature; different keys
  std::int64_t threshold = 0;

  bool enough() const {
    return threshold > 0 && static_cast<std::int64_t>(key_ids.size()) >= threshold;
  }
};

// What R's `trust` role, as `release` (R's top-level targets) delegates to it, says of a D root.
// `not_found` when R has no such role.
Result<Countersignatures> count_countersignatures(const SignedBytes& director_root,
                                                  const Targets& release);

// parse_director_root(), and: it is of `cluster_id` (`mismatch`), and countersigned
// (`bad_signature`, also when R has no role `trust`). The error names the cluster and the count.
Result<Document<Root>> check_countersigned_root(ByteView bytes, std::string_view cluster_id,
                                                const Targets& release);

}  // namespace rap::tuf
