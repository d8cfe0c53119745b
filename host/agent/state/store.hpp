// Verified artifacts on disk by content: `<state>/store/<hh>/<sha256>`, read-only.
//
// A file is there only whole. It is verified again each time it is loaded, from the sealed copy
// that is then executed, so a byte that flipped on disk, or was flipped, is found.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/result.hpp"
#include "host/loader/plugin_manifest.hpp"
#include "host/loader/sealed_memfd.hpp"

namespace rap::agent {

class ArtifactStore {
 public:
  explicit ArtifactStore(std::filesystem::path directory) : directory_(std::move(directory)) {}

  std::filesystem::path path_of(const std::string& sha256_hex) const;
  bool has(const std::string& sha256_hex, std::uint64_t length) const;

  // Puts a file there through `download`, which writes it whole or not at all to the path it is
  // given and has verified it. `exhausted` when the disk is full: nothing stays behind.
  Status add(const std::string& sha256_hex,
             const std::function<Status(const std::filesystem::path&)>& download) const;

  // A sealed copy whose hash is `sha256_hex` and whose bytes keep the manifest. A stored file with
  // other bytes is moved to `<store>/quarantine` and `mismatch` returned: download it again.
  Result<loader::SealedFile> load(const std::string& sha256_hex,
                                  const loader::PluginManifest& manifest) const;

  // Removes everything whose hash `wanted` denies; returns how many.
  int collect(const std::function<bool(const std::string& sha256_hex)>& wanted) const;

 private:
  std::filesystem::path directory_;
};

}  // namespace rap::agent
