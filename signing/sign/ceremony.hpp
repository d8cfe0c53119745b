// Who may sign what in R: the first root, delegations, and changing keys.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "signing/sign/release_repository.hpp"

namespace rap::sign {

struct RoleSpec {
  std::string name;
  std::vector<tuf::PublicKey> keys;
  std::int64_t threshold = 1;
  std::vector<std::string> paths;  // delegated roles only: patterns of target paths
};

// Fills version 1 of root and targets of an empty repository. `top_level` names root, targets,
// snapshot and timestamp. `conflict` when there is a root already, `invalid` for a threshold that
// cannot be reached.
Status begin_repository(Change& change, const ReleaseRepository& repository,
                        const std::vector<RoleSpec>& top_level);

// Adds or replaces a terminating delegation of targets, and starts or re-signs the role's metadata.
// `conflict` when another role has one of the paths; `invalid` for a name or path that is not
// plain. The role `trust` (signing/verify/countersignature.hpp) is a list of keys: its one path is
// tuf::kTrustPath, and it has no metadata to start.
Status delegate_role(Change& change, const RoleSpec& role);

struct KeyChange {
  std::vector<std::string> remove;  // key ids
  std::vector<tuf::PublicKey> add;
  std::optional<std::int64_t> threshold;
};

// Gives any role another set of keys. For a top-level role this is a new root version, which the
// old and the new root keys must sign.
Status rotate_keys(Change& change, const ReleaseRepository& repository, const std::string& role,
                   const KeyChange& keys);

// The key ids and threshold of a published role; `not_found`.
Result<tuf::RoleKeys> keys_of_role(const ReleaseRepository& repository, const std::string& role);

}  // namespace rap::sign
