// Signs a node's director repository (D) in memory, with keys that are online.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/result.hpp"
#include "signing/sign/ed25519.hpp"

namespace rap::sign {

struct DirectorKeys {
  const Ed25519Key* targets = nullptr;
  const Ed25519Key* snapshot = nullptr;
  const Ed25519Key* timestamp = nullptr;
};

struct DirectorTarget {
  std::string path;
  std::int64_t length = 0;
  std::string sha256;         // hex
  std::string custom = "{}";  // a JSON object; integers only
};

// The versions that were last given out to this node; all zero for a new one.
struct DirectorVersions {
  std::int64_t targets = 0;
  std::int64_t snapshot = 0;
  std::int64_t timestamp = 0;
};

struct DirectorLifetimes {
  std::chrono::seconds targets = std::chrono::hours(24);
  std::chrono::seconds snapshot = std::chrono::hours(24);
  std::chrono::seconds timestamp = std::chrono::hours(1);
};

// File name under /metadata/ -> bytes: "<N>.targets.json", "<N>.snapshot.json", "timestamp.json".
struct DirectorMetadata {
  std::map<std::string, std::string> files;
  DirectorVersions versions;
};

// D root version 1 of a cluster: one key per role, consistent snapshots. `expires` is the root's.
// `root_keys` sign; `threshold` of them are needed for the next root. Nodes believe it when R's
// role `trust` has signed it too (signing/verify/countersignature.hpp).
Result<std::string> make_root(const ClusterId& cluster,
                              const std::vector<const Ed25519Key*>& root_keys,
                              std::int64_t threshold, const DirectorKeys& keys, SystemTime expires);

// Signs one consistent set. Versions are max(previous + 1, unix seconds of `now`), so that a
// restored database does not go back. `invalid` for a target path or custom that may not be.
class DirectorSigner {
 public:
  // The keys must outlive the signer.
  explicit DirectorSigner(DirectorKeys keys, DirectorLifetimes lifetimes = {});

  Result<DirectorMetadata> sign(const std::vector<DirectorTarget>& targets,
                                const DirectorVersions& previous, SystemTime now) const;

  // The same set with a fresh timestamp; targets and snapshot stay byte for byte. `expired` when
  // one of those no longer lasts as long as the new timestamp: sign() again then.
  Result<DirectorMetadata> refresh_timestamp(const DirectorMetadata& previous,
                                             SystemTime now) const;

 private:
  Result<DirectorMetadata> with_timestamp(DirectorMetadata set, SystemTime now) const;

  DirectorKeys keys_;
  DirectorLifetimes lifetimes_;
};

// "<dir>/<sha256>.<name>" of "<dir>/<name>": where a consistent-snapshot client asks for a target.
std::string consistent_target_name(std::string_view path, std::string_view sha256);

}  // namespace rap::sign
