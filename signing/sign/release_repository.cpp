#include "signing/sign/release_repository.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "base/json.hpp"
#include "signing/sign/director.hpp"

namespace rap::sign {
namespace {

namespace json = boost::json;

constexpr std::size_t kMetadataMax = 8 << 20;

Result<Fd> take_lock(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / ".lock";
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd) return fail(Errc::internal, path.string() + ": " + errno_text(errno));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(Errc::conflict, directory.string() + ": another program is writing it");
  }
  return fd;
}

}  // namespace

Result<ReleaseRepository> ReleaseRepository::open(std::filesystem::path directory) {
  ReleaseRepository repository(std::move(directory));
  if (auto status = repository.load(); !status) return fail(std::move(status.error()));
  return repository;
}

Result<ReleaseRepository> ReleaseRepository::open_for_writing(std::filesystem::path directory) {
  ReleaseRepository repository(std::move(directory));
  std::error_code ec;
  for (const auto& path :
       {repository.metadata_dir(), repository.targets_dir(), repository.pending_dir()}) {
    std::filesystem::create_directories(path, ec);
    if (ec) return fail(Errc::internal, path.string() + ": " + ec.message());
  }
  auto lock = take_lock(repository.directory_);
  if (!lock) return fail(std::move(lock.error()));
  repository.lock_ = std::move(*lock);
  if (auto status = repository.load(); !status) return fail(std::move(status.error()));
  return repository;
}

Status ReleaseRepository::load_role(const std::string& role, std::int64_t version) {
  const std::string prefix = version == 0 ? "" : std::to_string(version) + ".";
  const std::filesystem::path path = metadata_dir() / (prefix + role + ".json");
  auto bytes = read_file(path, kMetadataMax);
  if (!bytes) return fail(std::move(bytes.error()));
  auto draft = Draft::parse(*bytes);
  if (!draft) return fail(draft.error(), path.string());
  drafts_[role] = std::move(*draft);
  return {};
}

Status ReleaseRepository::load_root() {
  for (std::int64_t version = 1;; ++version) {
    auto status = load_role("root", version);
    if (!status && status.error().code == Errc::not_found) return {};
    if (!status) return status;
    auto root = tuf::parse_root(as_bytes(drafts_["root"].file()));
    if (!root) return fail(std::move(root.error()));
    root_ = std::move(root->role);
  }
}

Status ReleaseRepository::load() {
  if (auto status = load_root(); !status) return status;
  if (!root_) return {};
  auto status = load_role("timestamp", 0);
  if (!status && status.error().code == Errc::not_found) return {};  // a ceremony half done
  if (!status) return status;
  auto timestamp = tuf::parse_timestamp(as_bytes(drafts_["timestamp"].file()));
  if (!timestamp) return fail(std::move(timestamp.error()));
  if (auto s = load_role("snapshot", timestamp->role.snapshot.version); !s) return s;
  auto snapshot = tuf::parse_snapshot(as_bytes(drafts_["snapshot"].file()));
  if (!snapshot) return fail(std::move(snapshot.error()));
  for (const auto& [name, meta] : snapshot->role.meta) {
    if (auto s = load_role(name.substr(0, name.size() - 5), meta.version); !s) return s;
  }
  auto targets = role_targets("targets");
  if (!targets) return fail(std::move(targets.error()));
  targets_ = std::move(*targets);
  return {};
}

const Draft* ReleaseRepository::current(const std::string& role) const {
  const auto found = drafts_.find(role);
  return found == drafts_.end() ? nullptr : &found->second;
}

std::vector<std::string> ReleaseRepository::roles() const {
  std::vector<std::string> names;
  for (const auto& [name, draft] : drafts_) names.push_back(name);
  return names;
}

Result<std::string> ReleaseRepository::role_for_path(const std::string& path) const {
  if (targets_ && targets_->delegations) {
    for (const tuf::DelegatedRole& role : targets_->delegations->roles) {
      if (role.covers(path)) return role.name;
    }
  }
  // "rel/plugin.<vendor>.<name>/..." belongs to a role of the vendor.
  std::string hint;
  constexpr std::string_view kPlugin = "rel/plugin.";
  if (path.starts_with(kPlugin)) {
    const std::string role =
        "rel.plugin." +
        path.substr(kPlugin.size(), path.find('.', kPlugin.size()) - kPlugin.size());
    hint = "; once for a vendor: rap-sign delegate " + role + " --path 'rel/" + role.substr(4) +
           ".*/*/*' --key NAME";
  }
  return fail(Errc::not_found, path + ": no role may sign this path" + hint);
}

Result<tuf::Targets> ReleaseRepository::role_targets(const std::string& role) const {
  const Draft* draft = current(role);
  if (draft == nullptr) return tuf::Targets{};
  auto document = tuf::parse_targets(as_bytes(draft->file()), role);
  if (!document) return fail(std::move(document.error()));
  return std::move(document->role);
}

Status ReleaseRepository::add_target_file(const std::string& path, ByteView bytes) const {
  if (auto status = tuf::check_target_path(path); !status) return status;
  const std::filesystem::path file =
      targets_dir() / consistent_target_name(path, to_hex(sha256(bytes)));
  std::error_code ec;
  std::filesystem::create_directories(file.parent_path(), ec);
  if (ec) return fail(Errc::internal, file.parent_path().string() + ": " + ec.message());
  return write_file_atomic(file, bytes);
}

std::chrono::hours lifetime_of(const std::string& role) {
  using std::chrono::hours;
  if (role == "root") return hours(24 * 365);
  if (role == "targets") return hours(24 * 180);
  if (role == "snapshot") return hours(24 * 7);
  if (role == "timestamp") return hours(48);
  if (role == "channels") return hours(24 * 90);
  return hours(24 * 120);
}

}  // namespace rap::sign
