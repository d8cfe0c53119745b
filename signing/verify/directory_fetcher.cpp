#include "signing/verify/directory_fetcher.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.hpp"
#include "signing/verify/metadata.hpp"

namespace rap::tuf {
namespace {

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (text.front() != '%') {
      out += text.front();
      text.remove_prefix(1);
      continue;
    }
    auto byte = from_hex(text.substr(1, 2));
    if (!byte || byte->size() != 1) return fail(Errc::malformed, "URL: percent sign");
    out += static_cast<char>(byte->front());
    text.remove_prefix(3);
  }
  return out;
}

}  // namespace

DirectoryFetcher::DirectoryFetcher(std::string base, std::filesystem::path directory)
    : base_(std::move(base)), directory_(std::move(directory)) {}

Result<std::filesystem::path> DirectoryFetcher::file_of(const std::string& url) const {
  if (!url.starts_with(base_)) return fail(Errc::not_found, url);
  auto relative = percent_decode(std::string_view(url).substr(base_.size()));
  // An encoded slash would be one more segment here than in the URL; the check below still holds.
  if (!relative || !check_target_path(*relative)) return fail(Errc::not_found, url);
  return directory_ / *relative;
}

Result<Bytes> DirectoryFetcher::fetch(const std::string& url, std::size_t max_bytes) {
  auto path = file_of(url);
  if (!path) return fail(std::move(path.error()));
  return read_file(*path, max_bytes);
}

Status DirectoryFetcher::fetch_to(const std::string& url, std::uint64_t length, const Sink& sink) {
  auto path = file_of(url);
  if (!path) return fail(std::move(path.error()));
  Fd fd(::open(path->c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail(Errc::not_found, path->string() + ": " + errno_text(errno));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return fail(Errc::not_found, path->string() + ": not a file");
  }
  Bytes chunk(64 << 10);
  std::uint64_t passed = 0;
  for (;;) {
    const ssize_t n = ::read(fd.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(Errc::unavailable, path->string() + ": " + errno_text(errno));
    if (n == 0) break;
    passed += static_cast<std::uint64_t>(n);
    if (passed > length) break;
    auto status = sink(ByteView(chunk.data(), static_cast<std::size_t>(n)));
    if (!status) return status;
  }
  if (passed == length) return {};
  return fail(Errc::mismatch, path->string() + ": another length than " + std::to_string(length));
}

}  // namespace rap::tuf
