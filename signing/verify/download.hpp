// Getting one target's bytes into a file. Private to signing/verify.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.hpp"
#include "signing/verify/fetcher.hpp"
#include "signing/verify/metadata.hpp"

namespace rap::tuf {

// Is there a regular file with the target's length and hashes?
bool file_matches(const std::filesystem::path& path, const TargetInfo& target);

// Fetches into a dot file beside `path`, checks length and hashes, then renames. Leaves nothing
// behind on failure.
Status fetch_file(Fetcher& fetcher, const std::string& url, const TargetInfo& target,
                  const std::filesystem::path& path);

// "<base><dir>/<hash>.<name>" in a consistent snapshot, else "<base><path>"; percent-encoded where
// a URL path demands it.
std::string target_url(const std::string& base, const TargetInfo& target, bool consistent_snapshot);

}  // namespace rap::tuf
