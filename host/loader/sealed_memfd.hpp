// A file in memory that nobody can change any more: what was hashed is what gets mapped.
//
// The order is fixed: copy, seal, and only then hash, so that no writer can slip in between (the
// source may be replaced while it is read; then the hash of the copy is that of neither file, and
// the caller's comparison with the signed manifest fails).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/bytes.hpp"
#include "base/crypto.hpp"
#include "base/file.hpp"
#include "base/result.hpp"

namespace rap::loader {

// A plugin with everything it vendors stays below this; the copy lives in memory.
inline constexpr std::uint64_t kPluginBytesMax = 256u << 20;

struct SealedFile {
  Fd fd;  // close-on-exec
  std::uint64_t size = 0;
  Sha256Digest sha256{};  // of the sealed bytes
};

// Copies a regular file. `name` is only for people, in /proc/<pid>/maps. Fails with `not_found`,
// `invalid` (not a regular file, or empty), `too_large`, `exhausted` (memory), or `internal`.
Result<SealedFile> seal_file(const std::filesystem::path& path,
                             std::uint64_t limit = kPluginBytesMax);
// From the current end of an open file; its offset does not matter and does not move.
Result<SealedFile> seal_file(int source, const std::string& name,
                             std::uint64_t limit = kPluginBytesMax);
Result<SealedFile> seal_bytes(ByteView bytes, const std::string& name);

// For a descriptor that came from another process: it must be a memfd that can neither be written,
// grown, shrunk nor unsealed. Fails with `mismatch` when it is something else or a seal is missing.
Status check_seals(int fd);

// check_seals(), then maps and hashes. The only way to get facts of a received descriptor.
Result<SealedFile> adopt_sealed(Fd fd, std::uint64_t limit = kPluginBytesMax);

// Read-only view of a sealed file; unmapped by the destructor. Sealed bytes cannot shrink, so
// reading never faults.
class SealedMapping {
 public:
  static Result<SealedMapping> map(int fd);
  SealedMapping(SealedMapping&& other) noexcept;
  SealedMapping& operator=(SealedMapping&& other) noexcept;
  ~SealedMapping();
  ByteView bytes() const { return {static_cast<const std::uint8_t*>(start_), size_}; }

 private:
  SealedMapping(void* start, std::size_t size) : start_(start), size_(size) {}
  void* start_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace rap::loader
