#include "host/agent/state/store.hpp"

#include <system_error>

#include "base/bytes.hpp"

namespace rap::agent {
namespace {

namespace fs = std::filesystem;

Error disk_error(const fs::path& path, const std::error_code& ec) {
  const bool full = ec == std::errc::no_space_on_device;
  return {full ? Errc::exhausted : Errc::internal, path.string() + ": " + ec.message()};
}

}  // namespace

fs::path ArtifactStore::path_of(const std::string& sha256_hex) const {
  return directory_ / sha256_hex.substr(0, 2) / sha256_hex;
}

bool ArtifactStore::has(const std::string& sha256_hex, std::uint64_t length) const {
  std::error_code ec;
  return fs::file_size(path_of(sha256_hex), ec) == length && !ec;
}

Status ArtifactStore::add(const std::string& sha256_hex,
                          const std::function<Status(const fs::path&)>& download) const {
  const fs::path path = path_of(sha256_hex);
  std::error_code ec;
  fs::create_directories(path.parent_path(), ec);
  if (ec) return fail(disk_error(path.parent_path(), ec));
  if (Status done = download(path); !done) return done;
  fs::permissions(path, fs::perms::owner_read, ec);
  return {};
}

Result<loader::SealedFile> ArtifactStore::load(const std::string& sha256_hex,
                                               const loader::PluginManifest& manifest) const {
  const fs::path path = path_of(sha256_hex);
  auto sealed = loader::seal_file(path);
  if (!sealed) return sealed;
  if (to_hex(sealed->sha256) != sha256_hex) {
    std::error_code ec;
    fs::create_directories(directory_ / "quarantine", ec);
    fs::rename(path, directory_ / "quarantine" / sha256_hex, ec);
    if (ec) fs::remove(path, ec);
    return fail(Errc::mismatch, "the stored artifact " + sha256_hex.substr(0, 16) +
                                    " was changed on disk; it is downloaded again");
  }
  auto mapping = loader::SealedMapping::map(sealed->fd.get());
  if (!mapping) return fail(std::move(mapping.error()));
  auto facts = loader::verify_plugin_file(manifest, mapping->bytes(), sealed->sha256);
  if (!facts) return fail(std::move(facts.error()));
  return sealed;
}

int ArtifactStore::collect(const std::function<bool(const std::string&)>& wanted) const {
  int removed = 0;
  std::error_code ec;
  for (fs::recursive_directory_iterator it(directory_, ec), end; !ec && it != end;
       it.increment(ec)) {
    if (it->is_directory() && it->path().filename() == "quarantine") {
      it.disable_recursion_pending();
      continue;
    }
    const std::string name = it->path().filename().string();
    if (!it->is_regular_file() || name.size() != 64 || wanted(name)) continue;
    std::error_code ignored;
    if (fs::remove(it->path(), ignored)) ++removed;
  }
  return removed;
}

}  // namespace rap::agent
