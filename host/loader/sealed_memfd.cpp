#include "host/loader/sealed_memfd.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3
#endif

namespace rap::loader {
namespace {

constexpr int kSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

Errc code_of(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Errc::not_found;
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
      return Errc::exhausted;
    default:
      return Errc::internal;
  }
}

tl::unexpected<Error> system_failure(const std::string& what, int error = errno) {
  return fail(code_of(error), what + ": " + errno_text(error));
}

// Asks for a file that can be mapped but never executed by path. That is allowed for every value of
// vm.memfd_noexec; kernels before 6.3 do not know the flag and answer EINVAL, and have no such
// setting either, so the second attempt needs no flag instead.
Result<Fd> create_memfd(const std::string& name) {
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const std::string shown = name.substr(0, 200);  // the kernel takes at most 249 bytes
  int fd = ::memfd_create(shown.c_str(), flags | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create(shown.c_str(), flags);
  if (fd < 0) return system_failure("memfd_create");
  return Fd(fd);
}

// Moves pages inside the kernel: no buffer of ours is touched.
Status copy_all(int source, int target, std::uint64_t size) {
  off_t offset = 0;
  while (static_cast<std::uint64_t>(offset) < size) {
    const ssize_t n =
        ::sendfile(target, source, &offset, size - static_cast<std::uint64_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_failure("copy");
    if (n == 0) return fail(Errc::invalid, "the file became shorter while it was read");
  }
  return {};
}

Status write_all(int target, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(target, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_failure("write");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<SealedFile> hash_of(Fd fd) {
  auto mapping = SealedMapping::map(fd.get());
  if (!mapping) return fail(mapping.error());
  const ByteView bytes = mapping->bytes();
  return SealedFile{std::move(fd), bytes.size(), sha256(bytes)};
}

Result<SealedFile> seal(Fd fd) {
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return system_failure("F_ADD_SEALS");
  return hash_of(std::move(fd));
}

Status check_size(std::uint64_t size, std::uint64_t limit) {
  if (size == 0) return fail(Errc::invalid, "an empty file");
  if (size <= limit) return {};
  return fail(Errc::too_large,
              std::to_string(size) + " bytes, at most " + std::to_string(limit) + " are allowed");
}

}  // namespace

Result<SealedFile> seal_file(const std::filesystem::path& path, std::uint64_t limit) {
  const Fd source(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!source) return system_failure(path.string());
  auto sealed = seal_file(source.get(), path.filename().string(), limit);
  if (!sealed) return fail(sealed.error(), path.string());
  return sealed;
}

Result<SealedFile> seal_file(int source, const std::string& name, std::uint64_t limit) {
  struct stat info {};
  if (::fstat(source, &info) != 0) return system_failure("fstat");
  if (!S_ISREG(info.st_mode)) return fail(Errc::invalid, "not a regular file");
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (auto ok = check_size(size, limit); !ok) return fail(ok.error());
  auto target = create_memfd(name);
  if (!target) return fail(target.error());
  if (auto ok = copy_all(source, target->get(), size); !ok) return fail(ok.error());
  return seal(std::move(*target));
}

Result<SealedFile> seal_bytes(ByteView bytes, const std::string& name) {
  if (auto ok = check_size(bytes.size(), kPluginBytesMax); !ok) return fail(ok.error());
  auto target = create_memfd(name);
  if (!target) return fail(target.error());
  if (auto ok = write_all(target->get(), bytes); !ok) return fail(ok.error());
  return seal(std::move(*target));
}

Status check_seals(int fd) {
  // Only a memfd (or a file on tmpfs, which cannot be sealed to begin with) answers at all.
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0) return fail(Errc::mismatch, "not a file that can be sealed");
  if ((seals & kSeals) == kSeals) return {};
  return fail(Errc::mismatch, "the file can still be changed: a seal is missing");
}

Result<SealedFile> adopt_sealed(Fd fd, std::uint64_t limit) {
  if (auto ok = check_seals(fd.get()); !ok) return fail(ok.error());
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_failure("fstat");
  if (auto ok = check_size(static_cast<std::uint64_t>(info.st_size), limit); !ok) {
    return fail(ok.error());
  }
  return hash_of(std::move(fd));
}

Result<SealedMapping> SealedMapping::map(int fd) {
  if (auto ok = check_seals(fd); !ok) return fail(ok.error());
  struct stat info {};
  if (::fstat(fd, &info) != 0) return system_failure("fstat");
  const auto size = static_cast<std::size_t>(info.st_size);
  if (auto ok = check_size(size, kPluginBytesMax); !ok) return fail(ok.error());
  // Without MAP_POPULATE: the ELF rules read a few pages only, and for hashing all of them the
  // kernel maps around each fault, which measured the same.
  void* start = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (start == MAP_FAILED) return system_failure("mmap");
  return SealedMapping(start, size);
}

SealedMapping::SealedMapping(SealedMapping&& other) noexcept
    : start_(std::exchange(other.start_, nullptr)), size_(std::exchange(other.size_, 0)) {}

SealedMapping& SealedMapping::operator=(SealedMapping&& other) noexcept {
  std::swap(start_, other.start_);
  std::swap(size_, other.size_);
  return *this;
}

SealedMapping::~SealedMapping() {
  if (start_) ::munmap(start_, size_);
}

}  // namespace rap::loader
