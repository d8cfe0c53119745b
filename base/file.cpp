#include "base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/transient_file.hpp"

namespace rap {
namespace {

tl::unexpected<Error> fail_errno(const std::filesystem::path& path, std::string_view what) {
  const int error = errno;
  Errc code = Errc::internal;
  if (error == ENOENT || error == ENOTDIR) code = Errc::not_found;
  if (error == ENOSPC || error == EDQUOT) code = Errc::exhausted;
  if (error == EACCES || error == EPERM || error == EROFS) code = Errc::forbidden;
  return fail(code, path.string() + ": " + std::string(what) + ": " + errno_text(error));
}

bool write_all(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

void Fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<Bytes> read_file(const std::filesystem::path& path, std::size_t limit) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return fail_errno(path, "open");
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail_errno(path, "stat");
  if (S_ISDIR(info.st_mode)) return fail(Errc::invalid, path.string() + ": is a directory");
  Bytes out;
  Bytes chunk(64 * 1024);
  for (;;) {
    const ssize_t n = ::read(fd.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(path, "read");
    if (n == 0) return out;
    if (out.size() + static_cast<std::size_t>(n) > limit) {
      return fail(Errc::too_large,
                  path.string() + ": more than " + std::to_string(limit) + " bytes");
    }
    out.insert(out.end(), chunk.begin(), chunk.begin() + n);
  }
}

Result<std::string> read_text_file(const std::filesystem::path& path, std::size_t limit) {
  auto bytes = read_file(path, limit);
  if (!bytes) return fail(std::move(bytes.error()));
  return std::string(as_text(*bytes));
}

namespace {

Status replace_file(const std::filesystem::path& path, ByteView bytes, unsigned mode, bool sync) {
  const std::filesystem::path directory =
      path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  // A dot file: directory listings of metadata and targets never show a half-written one.
  std::string temporary = (directory / ("." + path.filename().string() + ".XXXXXX")).string();
  Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return fail_errno(path, "create");
  const auto abandon = [&](std::string_view what) {
    auto error = fail_errno(path, what);
    ::unlink(temporary.c_str());
    return error;
  };
  if (::fchmod(fd.get(), mode) != 0) return abandon("chmod");
  if (!write_all(fd.get(), bytes)) return abandon("write");
  if (sync && ::fsync(fd.get()) != 0) return abandon("fsync");
  if (::rename(temporary.c_str(), path.c_str()) != 0) return abandon("rename");
  if (!sync) return {};
  Fd dir(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir || ::fsync(dir.get()) != 0) return fail_errno(directory, "fsync");
  return {};
}

}  // namespace

Status write_file_atomic(const std::filesystem::path& path, ByteView bytes, unsigned mode) {
  return replace_file(path, bytes, mode, true);
}

Status write_transient_file(const std::filesystem::path& path, std::string_view text,
                            unsigned mode) {
  return replace_file(path, as_bytes(text), mode, false);
}

std::string errno_text(int error) {
  return std::generic_category().message(error);
}

}  // namespace rap
