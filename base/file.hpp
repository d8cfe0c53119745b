// Files that are there whole or not at all.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace rap {

// Owns a descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { reset(); }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// Reads a regular file of at most `limit` bytes. Fails with `not_found`, `too_large` (nothing is
// returned), or `internal` with the system's words.
Result<Bytes> read_file(const std::filesystem::path& path, std::size_t limit);
Result<std::string> read_text_file(const std::filesystem::path& path, std::size_t limit);

// Replaces `path` with `bytes`: temporary file in the same directory, write, fsync, rename, fsync
// of the directory. After a crash the file is the old or the new one. `mode` is the file's mode
// whatever the umask says. Fails with `exhausted` (disk full, quota) or `internal`; then the old
// file stands.
Status write_file_atomic(const std::filesystem::path& path, ByteView bytes, unsigned mode = 0644);
inline Status write_file_atomic(const std::filesystem::path& path, std::string_view text,
                                unsigned mode = 0644) {
  return write_file_atomic(path, as_bytes(text), mode);
}

// "No such file or directory" and the like, for error details.
std::string errno_text(int error);

}  // namespace rap
