#include "signing/verify/download.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include "base/crypto.hpp"
#include "base/file.hpp"

namespace rap::tuf {
namespace {

// Every hash a target lists, over bytes that arrive in pieces.
class HashCheck {
 public:
  explicit HashCheck(const Hashes& hashes) {
    for (const auto& [algorithm, expected] : hashes.known) {
      Running running{Context(EVP_MD_CTX_new(), &EVP_MD_CTX_free), algorithm, expected};
      const EVP_MD* digest = algorithm == "sha256" ? EVP_sha256() : EVP_sha512();
      if (EVP_DigestInit_ex(running.context.get(), digest, nullptr) != 1) {
        throw std::runtime_error("start of a digest: " + openssl_error());
      }
      running_.push_back(std::move(running));
    }
  }

  void update(ByteView bytes) {
    for (Running& running : running_) {
      EVP_DigestUpdate(running.context.get(), bytes.data(), bytes.size());
    }
  }

  Status finish() {
    if (running_.empty()) return fail(Errc::unsupported, "no hash algorithm that is known");
    for (Running& running : running_) {
      std::uint8_t digest[EVP_MAX_MD_SIZE];
      unsigned length = 0;
      EVP_DigestFinal_ex(running.context.get(), digest, &length);
      const std::string actual = to_hex(ByteView(digest, length));
      if (actual != running.expected) {
        return fail(Errc::mismatch,
                    running.algorithm + " is " + actual + ", want " + running.expected);
      }
    }
    return {};
  }

 private:
  using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;
  struct Running {
    Context context;
    std::string algorithm;
    std::string expected;
  };
  std::vector<Running> running_;
};

// A hidden file that becomes `path` or disappears.
class PendingFile {
 public:
  explicit PendingFile(std::filesystem::path path) : path_(std::move(path)) {
    directory_ = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
    temporary_ = (directory_ / ("." + path_.filename().string().substr(0, 200) + ".XXXXXX"));
    fd_.reset(::mkostemp(temporary_.data(), O_CLOEXEC));
    created_ = static_cast<bool>(fd_);
  }
  ~PendingFile() {
    if (created_) ::unlink(temporary_.c_str());
  }
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;

  Status write(ByteView bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return system_failure("write");
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return {};
  }

  Status commit() {
    if (::fchmod(fd_.get(), 0644) != 0) return system_failure("chmod");
    if (::fsync(fd_.get()) != 0) return system_failure("fsync");
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) return system_failure("rename");
    created_ = false;
    Fd directory(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory || ::fsync(directory.get()) != 0) return system_failure("fsync");
    return {};
  }

  Status check() const { return created_ ? Status{} : system_failure("create"); }

 private:
  Status system_failure(std::string_view what) const {
    const int error = errno;
    const Errc code = error == ENOSPC || error == EDQUOT ? Errc::exhausted : Errc::internal;
    return fail(code, path_.string() + ": " + std::string(what) + ": " + errno_text(error));
  }

  std::filesystem::path path_;
  std::filesystem::path directory_;
  std::string temporary_;
  Fd fd_;
  bool created_ = false;
};

// Everything a path segment of a URL may hold unescaped (RFC 3986 pchar), and the slash.
std::string encode_path(std::string_view path) {
  static constexpr std::string_view kAlso = "/!$&'()*+,;=:@";
  std::string out;
  for (const char c : path) {
    if (kAlso.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += encode_segment(std::string_view(&c, 1));
    }
  }
  return out;
}

}  // namespace

bool file_matches(const std::filesystem::path& path, const TargetInfo& target) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      info.st_size != target.length) {
    return false;
  }
  HashCheck check(target.hashes);
  Bytes chunk(64 << 10);
  for (;;) {
    const ssize_t n = ::read(fd.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    if (n == 0) return check.finish().has_value();
    check.update(ByteView(chunk.data(), static_cast<std::size_t>(n)));
  }
}

Status fetch_file(Fetcher& fetcher, const std::string& url, const TargetInfo& target,
                  const std::filesystem::path& path) {
  if (target.hashes.known.empty()) {
    return fail(Errc::unsupported, target.path + ": no hash algorithm that is known");
  }
  PendingFile file(path);
  if (auto status = file.check(); !status) return status;
  HashCheck check(target.hashes);
  auto status =
      fetcher.fetch_to(url, static_cast<std::uint64_t>(target.length), [&](ByteView bytes) {
        check.update(bytes);
        return file.write(bytes);
      });
  if (status) status = check.finish();
  if (!status) return fail(status.error(), target.path);
  return file.commit();
}

std::string target_url(const std::string& base, const TargetInfo& target,
                       bool consistent_snapshot) {
  if (!consistent_snapshot) return base + encode_path(target.path);
  const std::size_t slash = target.path.rfind('/');
  const std::size_t name = slash == std::string::npos ? 0 : slash + 1;
  return base + encode_path(target.path.substr(0, name)) + target.hashes.prefix() + "." +
         encode_path(target.path.substr(name));
}

}  // namespace rap::tuf
