// Reads the release repository (R) as any client does: verified, or not at all.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "controlplane/db/sql.hpp"

namespace rap::cp {

struct FoundArtifact {
  std::string os, arch, libc, path;
  std::int64_t length = 0;
  std::string sha256, custom;
};
struct FoundRelease {
  std::string product, version;
  std::int64_t release_seq = 0, security_epoch = 0;
  std::string manifest_path, manifest_sha256, manifest_custom, manifest;
  std::int64_t manifest_length = 0;
  std::vector<FoundArtifact> artifacts;
};
struct FoundChannel {
  std::string product, channel, version, manifest_sha256, history;
  std::int64_t min_epoch = 0;
};
struct FoundStorage {
  std::vector<FoundRelease> releases;
  std::vector<FoundChannel> channels;
  std::vector<std::string> skipped;  // "path: why"
  std::string targets;               // R's top-level targets role: who its delegated roles are
};

// Blocks. `storage` is R as rap-sign writes it, `trusted` our copy of its metadata (made from R's
// root version 1 at the first time, checked against it ever after). Fails as TufClient does.
Result<FoundStorage> read_version_storage(const std::filesystem::path& storage,
                                          const std::filesystem::path& trusted, const Clock& clock);

struct SyncReport {
  std::int64_t releases = 0, added = 0, unlisted = 0;
};
// Makes the tables say what R says; releases that R no longer names stay, unlisted.
SyncReport store_releases(Tx& tx, const FoundStorage& found, SystemTime now);

}  // namespace rap::cp
