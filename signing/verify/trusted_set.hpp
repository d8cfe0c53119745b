// The rules of TUF about what may replace what: no files, no network. Private to signing/verify.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "signing/verify/metadata.hpp"

namespace rap::tuf {

enum class Update { replaced, unchanged };

// Holds the metadata that is trusted during one refresh and the searches after it. Every method
// either takes the document or fails and changes nothing.
class TrustedSet {
 public:
  // `now` is the one time that everything in this refresh is compared with.
  explicit TrustedSet(SystemTime now) : now_(now) {}

  // The root that is trusted already: must have signed itself.
  Status load_root(ByteView bytes);
  // The next root: version + 1, signed by the old keys and by its own.
  Status update_root(ByteView bytes);
  // The last root of the chain must not be expired.
  Status check_root_fresh() const;

  // From disk: gives the versions that a new one may not fall below; may be expired.
  Status load_timestamp(ByteView bytes);
  // From the repository. `unchanged`: same version as the trusted one, which stays.
  Result<Update> update_timestamp(ByteView bytes);
  Status check_timestamp_fresh() const;

  // From disk: may be expired or another than the timestamp names.
  Status load_snapshot(ByteView bytes);
  // True when the snapshot from disk is what the timestamp names, byte for byte where it gives
  // hashes, and has not expired.
  bool snapshot_is_current() const;
  Status update_snapshot(ByteView bytes);

  // A targets role. `parent` delegates to it; null for the top-level one. With `Age::any` the
  // bytes come from disk and may be expired or older than the snapshot says.
  enum class Age { current, any };
  Status update_targets(ByteView bytes, const std::string& role, const Targets* parent, Age age);

  const Root& root() const { return *root_; }
  const std::optional<Timestamp>& timestamp() const { return timestamp_; }
  const std::optional<Snapshot>& snapshot() const { return snapshot_; }
  // Null when that pair was not accepted yet. Stays valid as long as the set.
  const Targets* targets(const std::string& role, const Targets* parent) const;
  // What the snapshot says about a role; null when it does not list it.
  const MetaFile* meta_of(const std::string& role) const;

  // For a start without network: is the snapshot not newer than its timestamp, and the same when
  // the versions are?
  Status check_stored_snapshot() const;

 private:
  Status verify_top(const SignedBytes& proof, const char* role) const;
  Status verify_targets(const SignedBytes& proof, const std::string& role,
                        const Targets* parent) const;

  SystemTime now_;
  std::optional<Root> root_;
  std::optional<Timestamp> timestamp_;
  std::optional<Snapshot> snapshot_;
  Bytes snapshot_bytes_;
  // By (parent, role): what one parent vouches for says nothing about another's child of the same
  // name.
  std::map<std::pair<const Targets*, std::string>, Targets> targets_;
};

}  // namespace rap::tuf
