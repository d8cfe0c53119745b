// The TUF client: brings a directory of trusted metadata up to date and downloads what it lists.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "signing/verify/fetcher.hpp"
#include "signing/verify/metadata.hpp"

namespace rap::tuf {

// docs/signing.md says where the numbers come from. Bytes, unless named otherwise.
struct Limits {
  std::size_t root = 512 << 10;
  std::size_t timestamp = 16 << 10;
  std::size_t snapshot = 2 << 20;
  std::size_t targets = 5 << 20;
  int root_steps = 256;       // new roots in one refresh
  int delegations = 32;       // roles visited in one search
  int delegation_depth = 16;  // levels below targets
};

struct TufClientConfig {
  // Holds root.json, timestamp.json, snapshot.json, targets.json, <encoded role>.json and
  // root_history/<N>.root.json, byte for byte as received; nothing else ends in .json there. One
  // client at a time per directory.
  std::filesystem::path metadata_dir;
  std::string metadata_url;
  // For download(): files are named by the percent-encoded target path, without subdirectories.
  std::filesystem::path targets_dir;
  std::string targets_url;
  Limits limits;
};

// Versions that are trusted now; 0: none yet.
struct TrustedVersions {
  std::int64_t root = 0;
  std::int64_t timestamp = 0;
  std::int64_t snapshot = 0;
  std::int64_t targets = 0;
};

// Not thread-safe. Blocks in refresh(), find_target() and download(). Failures of the repository
// are outcomes: `not_found`, `unavailable`, `timeout` (the source), `bad_signature`, `rollback`,
// `expired`, `mismatch`, `malformed`, `unsupported`, `too_large` (what it said).
class TufClient {
 public:
  // `fetcher` and `clock` must outlive the client.
  TufClient(TufClientConfig config, Fetcher& fetcher, const Clock& clock);
  ~TufClient();
  TufClient(const TufClient&) = delete;
  TufClient& operator=(const TufClient&) = delete;

  // Stores the first trusted root; how it got here is the caller's business. Checks that it is a
  // root that signed itself. `conflict` when the directory already has one.
  static Status init(const std::filesystem::path& metadata_dir, ByteView root);
  static bool is_initialised(const std::filesystem::path& metadata_dir);

  // The workflow of the TUF specification, section 5: root, timestamp, snapshot, targets. Time is
  // read once, at its start. What was verified before a failure stays trusted and stored.
  Status refresh();

  // Trusts what an earlier refresh stored, without network: signatures, versions and hashes are
  // checked, expiry is not (expires_at() tells). For a start while the repository is unreachable.
  Status load_stored();

  // Searches targets and its delegations, in order and depth first; fetches delegated metadata as
  // needed (after load_stored(): never). nullopt: no role lists it. `invalid` when `path` is not a
  // plain relative path. Needs a refresh() or load_stored() that succeeded.
  Result<std::optional<TargetInfo>> find_target(std::string_view path);

  // What the top-level targets role says; null before a refresh() or load_stored() that succeeded.
  // Good until the next of those.
  const Targets* top_level() const;
  // Everything that the top-level targets role lists, in path order.
  std::vector<TargetInfo> top_level_targets() const;

  // Makes the file present in targets_dir and returns its path; does not fetch when a file with
  // the right length and hashes is there.
  Result<std::filesystem::path> download(const TargetInfo& target);
  // The same into a file of the caller's choice; whole or not at all.
  Status download_to(const TargetInfo& target, const std::filesystem::path& path);
  // Verified content in memory; `too_large` when the target is longer than `max_bytes`.
  Result<Bytes> fetch_bytes(const TargetInfo& target, std::size_t max_bytes);

  TrustedVersions versions() const;
  // The earliest expiry among the four top-level roles; epoch when nothing is trusted.
  SystemTime expires_at() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rap::tuf
