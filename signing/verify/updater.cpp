#include "signing/verify/updater.hpp"

#include <algorithm>
#include <set>

#include "signing/verify/download.hpp"
#include "signing/verify/trusted_set.hpp"
#include "signing/verify/trusted_store.hpp"

namespace rap::tuf {
namespace {

std::string with_slash(std::string url) {
  if (!url.empty() && url.back() != '/') url += '/';
  return url;
}

}  // namespace

class TufClient::Impl {
 public:
  Impl(TufClientConfig config, Fetcher& fetcher, const Clock& clock)
      : config_(std::move(config)),
        fetcher_(fetcher),
        clock_(clock),
        store_(config_.metadata_dir),
        set_(SystemTime{}) {
    config_.metadata_url = with_slash(std::move(config_.metadata_url));
    config_.targets_url = with_slash(std::move(config_.targets_url));
  }

  Status refresh();
  Status load_stored();
  Result<std::optional<TargetInfo>> find_target(std::string_view path);

  const TufClientConfig& config() const { return config_; }
  Fetcher& fetcher() const { return fetcher_; }
  const TrustedSet& set() const { return set_; }
  bool has_root() const { return mode_ != Mode::none || root_loaded_; }
  bool ready() const { return mode_ != Mode::none; }

 private:
  enum class Mode { none, online, stored };

  struct Visit {
    std::string role;
    const Targets* parent;
    int depth;
  };

  Status begin();
  Status refresh_root();
  Status refresh_timestamp();
  Status refresh_snapshot();
  Result<const Targets*> load_targets(const std::string& role, const Targets* parent);
  std::string metadata_url(std::int64_t version, const std::string& role) const;
  Status push_children(std::vector<Visit>& stack, const Visit& visit, const Targets& targets,
                       std::string_view path) const;

  TufClientConfig config_;
  Fetcher& fetcher_;
  const Clock& clock_;
  TrustedStore store_;
  TrustedSet set_;
  bool root_loaded_ = false;
  Mode mode_ = Mode::none;
};

Status TufClient::Impl::begin() {
  mode_ = Mode::none;
  root_loaded_ = false;
  set_ = TrustedSet(clock_.now());
  auto bytes = store_.read("root", config_.limits.root);
  if (!bytes) return fail(bytes.error(), "trusted root");
  if (auto status = set_.load_root(*bytes); !status) return status;
  root_loaded_ = true;
  return {};
}

Status TufClient::Impl::refresh_root() {
  for (int step = 0; step < config_.limits.root_steps; ++step) {
    const std::int64_t version = set_.root().version + 1;
    const std::string url = config_.metadata_url + std::to_string(version) + ".root.json";
    auto bytes = fetcher_.fetch(url, config_.limits.root);
    if (!bytes && bytes.error().code == Errc::not_found) return set_.check_root_fresh();
    if (!bytes) return fail(bytes.error(), "root version " + std::to_string(version));
    if (auto status = set_.update_root(*bytes); !status) return status;
    if (auto status = store_.write_root(version, *bytes); !status) return status;
  }
  return fail(Errc::too_large, "more than " + std::to_string(config_.limits.root_steps) +
                                   " new roots in one refresh");
}

Status TufClient::Impl::refresh_timestamp() {
  // A stored timestamp that the present root does not vouch for is ignored: that is how a
  // repository recovers from a version that was pushed too far.
  if (auto stored = store_.read("timestamp", config_.limits.timestamp)) {
    (void)set_.load_timestamp(*stored).has_value();
  }
  auto bytes = fetcher_.fetch(config_.metadata_url + "timestamp.json", config_.limits.timestamp);
  if (!bytes) return fail(bytes.error(), "timestamp");
  auto update = set_.update_timestamp(*bytes);
  if (!update) return fail(std::move(update.error()));
  if (*update == Update::unchanged) return set_.check_timestamp_fresh();
  return store_.write("timestamp", *bytes);
}

Status TufClient::Impl::refresh_snapshot() {
  if (auto stored = store_.read("snapshot", config_.limits.snapshot)) {
    (void)set_.load_snapshot(*stored).has_value();
  }
  if (set_.snapshot_is_current()) return {};
  const MetaFile& meta = set_.timestamp()->snapshot;
  const std::size_t cap = std::min<std::uint64_t>(
      config_.limits.snapshot, static_cast<std::uint64_t>(meta.length.value_or(kIntegerMax)));
  auto bytes = fetcher_.fetch(metadata_url(meta.version, "snapshot"), cap);
  if (!bytes) return fail(bytes.error(), "snapshot");
  if (auto status = set_.update_snapshot(*bytes); !status) return status;
  return store_.write("snapshot", *bytes);
}

std::string TufClient::Impl::metadata_url(std::int64_t version, const std::string& role) const {
  const std::string prefix =
      set_.root().consistent_snapshot ? std::to_string(version) + "." : std::string();
  return config_.metadata_url + prefix + encode_segment(role) + ".json";
}

Result<const Targets*> TufClient::Impl::load_targets(const std::string& role,
                                                     const Targets* parent) {
  if (const Targets* known = set_.targets(role, parent)) return known;
  const MetaFile* meta = set_.meta_of(role);
  if (meta == nullptr) return fail(Errc::malformed, "snapshot does not list " + role);

  const auto age = mode_ == Mode::stored ? TrustedSet::Age::any : TrustedSet::Age::current;
  auto stored = store_.read(role, config_.limits.targets);
  if (stored) {
    auto status = set_.update_targets(*stored, role, parent, age);
    if (status) return set_.targets(role, parent);
    if (mode_ == Mode::stored) return fail(std::move(status.error()));
  } else if (mode_ == Mode::stored) {
    return fail(Errc::unavailable, role + " is not stored and there is no network");
  }

  const std::size_t cap = std::min<std::uint64_t>(
      config_.limits.targets, static_cast<std::uint64_t>(meta->length.value_or(kIntegerMax)));
  auto bytes = fetcher_.fetch(metadata_url(meta->version, role), cap);
  if (!bytes) return fail(bytes.error(), role);
  if (auto status = set_.update_targets(*bytes, role, parent, age); !status) {
    return fail(std::move(status.error()));
  }
  if (auto status = store_.write(role, *bytes); !status) return fail(std::move(status.error()));
  return set_.targets(role, parent);
}

Status TufClient::Impl::refresh() {
  if (auto status = begin(); !status) return status;
  if (auto status = refresh_root(); !status) return status;
  if (auto status = refresh_timestamp(); !status) return status;
  if (auto status = refresh_snapshot(); !status) return status;
  if (auto targets = load_targets("targets", nullptr); !targets) {
    return fail(std::move(targets.error()));
  }
  mode_ = Mode::online;
  return {};
}

Status TufClient::Impl::load_stored() {
  if (auto status = begin(); !status) return status;
  auto timestamp = store_.read("timestamp", config_.limits.timestamp);
  if (!timestamp) return fail(std::move(timestamp.error()));
  if (auto status = set_.load_timestamp(*timestamp); !status) return status;
  auto snapshot = store_.read("snapshot", config_.limits.snapshot);
  if (!snapshot) return fail(std::move(snapshot.error()));
  if (auto status = set_.load_snapshot(*snapshot); !status) return status;
  if (auto status = set_.check_stored_snapshot(); !status) return status;
  mode_ = Mode::stored;
  auto targets = load_targets("targets", nullptr);
  if (targets) return {};
  mode_ = Mode::none;
  return fail(std::move(targets.error()));
}

Status TufClient::Impl::push_children(std::vector<Visit>& stack, const Visit& visit,
                                      const Targets& targets, std::string_view path) const {
  if (!targets.delegations) return {};
  if (visit.depth >= config_.limits.delegation_depth) {
    return fail(Errc::too_large, "delegations are too deep");
  }
  std::vector<Visit> children;
  bool terminating = false;
  if (const auto& succinct = targets.delegations->succinct) {
    children.push_back({succinct->role_for(path), &targets, visit.depth + 1});
    terminating = true;  // exactly one bin is responsible for a path
  } else {
    for (const DelegatedRole& role : targets.delegations->roles) {
      if (!role.covers(path)) continue;
      children.push_back({role.name, &targets, visit.depth + 1});
      terminating = role.terminating;
      if (terminating) break;
    }
  }
  if (terminating) stack.clear();  // nothing outside this branch is asked any more
  stack.insert(stack.end(), children.rbegin(), children.rend());
  return {};
}

Result<std::optional<TargetInfo>> TufClient::Impl::find_target(std::string_view path) {
  if (mode_ == Mode::none) return fail(Errc::unavailable, "no trusted metadata; refresh first");
  if (auto status = check_target_path(path); !status) return fail(std::move(status.error()));
  std::vector<Visit> stack{{"targets", nullptr, 0}};
  std::set<std::string> visited;
  while (!stack.empty()) {
    const Visit visit = std::move(stack.back());
    stack.pop_back();
    if (!visited.insert(visit.role).second) continue;
    if (static_cast<int>(visited.size()) > config_.limits.delegations) {
      return fail(Errc::too_large, "search visits too many roles");
    }
    auto targets = load_targets(visit.role, visit.parent);
    if (!targets) return fail(std::move(targets.error()));
    const auto found = (*targets)->targets.find(std::string(path));
    if (found != (*targets)->targets.end()) return std::optional<TargetInfo>(found->second);
    if (auto status = push_children(stack, visit, **targets, path); !status) {
      return fail(std::move(status.error()));
    }
  }
  return std::optional<TargetInfo>();
}

TufClient::TufClient(TufClientConfig config, Fetcher& fetcher, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(config), fetcher, clock)) {}
TufClient::~TufClient() = default;

Status TufClient::init(const std::filesystem::path& metadata_dir, ByteView root) {
  if (is_initialised(metadata_dir)) {
    return fail(Errc::conflict, metadata_dir.string() + " already has a trusted root");
  }
  if (root.size() > Limits{}.root) return fail(Errc::too_large, "root");
  TrustedSet set{SystemTime{}};
  if (auto status = set.load_root(root); !status) return status;
  return TrustedStore(metadata_dir).write_root(set.root().version, root);
}

bool TufClient::is_initialised(const std::filesystem::path& metadata_dir) {
  std::error_code ec;
  return std::filesystem::exists(metadata_dir / "root.json", ec);
}

Status TufClient::refresh() {
  return impl_->refresh();
}

Status TufClient::load_stored() {
  return impl_->load_stored();
}

Result<std::optional<TargetInfo>> TufClient::find_target(std::string_view path) {
  return impl_->find_target(path);
}

const Targets* TufClient::top_level() const {
  return impl_->ready() ? impl_->set().targets("targets", nullptr) : nullptr;
}

std::vector<TargetInfo> TufClient::top_level_targets() const {
  std::vector<TargetInfo> out;
  const Targets* targets = impl_->set().targets("targets", nullptr);
  if (targets == nullptr) return out;
  for (const auto& [path, info] : targets->targets) out.push_back(info);
  return out;
}

Result<std::filesystem::path> TufClient::download(const TargetInfo& target) {
  const std::string name = encode_file_name(target.path);
  constexpr std::size_t kFileNameMax = 240;  // of the file system's 255, with room for a suffix
  if (name.size() > kFileNameMax) return fail(Errc::too_large, "target path as a file name");
  const std::filesystem::path path = impl_->config().targets_dir / name;
  if (auto status = download_to(target, path); !status) return fail(std::move(status.error()));
  return path;
}

Status TufClient::download_to(const TargetInfo& target, const std::filesystem::path& path) {
  if (!impl_->ready()) return fail(Errc::unavailable, "no trusted metadata; refresh first");
  if (auto status = check_target_path(target.path); !status) return status;
  if (file_matches(path, target)) return {};
  const std::string url =
      target_url(impl_->config().targets_url, target, impl_->set().root().consistent_snapshot);
  return fetch_file(impl_->fetcher(), url, target, path);
}

Result<Bytes> TufClient::fetch_bytes(const TargetInfo& target, std::size_t max_bytes) {
  if (!impl_->ready()) return fail(Errc::unavailable, "no trusted metadata; refresh first");
  if (auto status = check_target_path(target.path); !status) return fail(std::move(status.error()));
  if (static_cast<std::uint64_t>(target.length) > max_bytes) {
    return fail(Errc::too_large, target.path);
  }
  const std::string url =
      target_url(impl_->config().targets_url, target, impl_->set().root().consistent_snapshot);
  Bytes bytes;
  auto status = impl_->fetcher().fetch_to(url, static_cast<std::uint64_t>(target.length),
                                          [&](ByteView part) -> Status {
                                            bytes.insert(bytes.end(), part.begin(), part.end());
                                            return {};
                                          });
  if (!status) return fail(status.error(), target.path);
  if (auto matches = verify_hashes(target.hashes, bytes); !matches) {
    return fail(matches.error(), target.path);
  }
  return bytes;
}

TrustedVersions TufClient::versions() const {
  TrustedVersions out;
  if (!impl_->has_root()) return out;
  out.root = impl_->set().root().version;
  if (impl_->set().timestamp()) out.timestamp = impl_->set().timestamp()->version;
  if (impl_->set().snapshot()) out.snapshot = impl_->set().snapshot()->version;
  if (const Targets* targets = impl_->set().targets("targets", nullptr)) {
    out.targets = targets->version;
  }
  return out;
}

SystemTime TufClient::expires_at() const {
  if (!impl_->ready()) return SystemTime{};
  const TrustedSet& set = impl_->set();
  return std::min({set.root().expires, set.timestamp()->expires, set.snapshot()->expires,
                   set.targets("targets", nullptr)->expires});
}

}  // namespace rap::tuf
