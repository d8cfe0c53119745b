// What R lists: releases, which never change, and channels, which say which release is current.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "signing/sign/release_repository.hpp"

namespace rap::sign {

// A release held in memory; far above any plugin or agent of today.
inline constexpr std::size_t kArtifactMax = std::size_t{512} << 20;
inline constexpr std::size_t kManifestMax = 1 << 20;

struct ListedTarget {
  std::string path;
  std::int64_t length = 0;
  std::string sha256;
};

struct ReleaseResult {
  std::string product;
  std::string version;
  std::string role;                   // that signs it
  std::vector<ListedTarget> targets;  // manifest first
  bool already_published = false;     // the same bytes are there; nothing to sign
};

// Puts manifest and artifacts under rel/<product>/<version>/ and lists them, with the `custom`
// fields of docs/contracts/snapshots.md, in the role that speaks for them. Artifacts are matched
// with the manifest's variants by SHA-256; each variant needs one.
// Fails with `invalid` (manifest, a version that is not semantic, or release_seq not above every
// earlier one), `conflict` (this version exists with another manifest or file; both digests are
// named), `mismatch` (a variant without artifact, or the other way) or `not_found` (no role is
// delegated to).
Result<ReleaseResult> add_release(Change& change, const ReleaseRepository& repository,
                                  const Bytes& manifest, const std::vector<Bytes>& artifacts);

struct ChannelSpec {
  std::string product;
  std::string channel;  // stable, current or candidate
  std::string version;
  std::int64_t min_epoch = 0;
};

// Rewrites channels/<product>/<channel>.json; the version it named before goes into its history.
// `not_found` when the version is not published and not part of this change.
Result<ListedTarget> set_channel(Change& change, const ReleaseRepository& repository,
                                 const ChannelSpec& channel);

}  // namespace rap::sign
