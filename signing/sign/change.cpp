#include <algorithm>
#include <set>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "signing/sign/release_repository.hpp"

namespace rap::sign {
namespace {

namespace json = boost::json;

constexpr std::size_t kPendingMax = 8 << 20;

bool is_online(const std::string& role) {
  return role == "snapshot" || role == "timestamp";
}

bool is_top_level(const std::string& role) {
  return role == "root" || role == "targets" || is_online(role);
}

// Any role's file to its signatures, shape checked.
Result<tuf::SignedBytes> parse_proof(const std::string& role, const std::string& file) {
  const auto take = [](auto document) -> Result<tuf::SignedBytes> {
    if (!document) return fail(std::move(document.error()));
    return std::move(document->proof);
  };
  if (role == "root") return take(tuf::parse_root(as_bytes(file)));
  if (role == "snapshot") return take(tuf::parse_snapshot(as_bytes(file)));
  if (role == "timestamp") return take(tuf::parse_timestamp(as_bytes(file)));
  return take(tuf::parse_targets(as_bytes(file), role));
}

}  // namespace

Change::Change(const ReleaseRepository& repository, SystemTime now)
    : repository_(repository), now_(now) {}

Status Change::load_pending() {
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(repository_.pending_dir(), ec)) {
    if (entry.path().extension() != ".json") continue;
    auto bytes = read_file(entry.path(), kPendingMax);
    if (!bytes) return fail(std::move(bytes.error()));
    auto draft = Draft::parse(*bytes);
    if (!draft) return fail(draft.error(), entry.path().string());
    const std::string role = entry.path().stem().string();
    const Draft* current = repository_.current(role);
    if (draft->version() != (current == nullptr ? 0 : current->version()) + 1) {
      return fail(Errc::conflict,
                  entry.path().string() + ": another version was published meanwhile");
    }
    drafts_[role] = std::move(*draft);
  }
  continues_pending_ = true;
  return {};
}

Status Change::check_pending() const {
  if (continues_pending_) return {};
  std::error_code ec;
  for (const auto& [role, draft] : drafts_) {
    const auto path = repository_.pending_dir() / (role + ".json");
    if (std::filesystem::exists(path, ec)) {
      return fail(Errc::conflict,
                  path.string() + " collects signatures; commit or remove it first");
    }
  }
  return {};
}

json::object& Change::edit(const std::string& role) {
  const auto [found, fresh] = drafts_.try_emplace(role);
  Draft& draft = found->second;
  draft.clear_signatures();
  if (!fresh) return draft.body();
  const SystemTime expires = now_ + lifetime_of(role);
  if (const Draft* current = repository_.current(role)) {
    draft.body() = current->body();
    set_version(draft.body(), current->version() + 1, expires);
  } else {
    draft.body() = new_body(is_top_level(role) ? role : "targets", 1, expires);
    if (!is_online(role) && role != "root") draft.body()["targets"] = json::object{};
  }
  return draft.body();
}

Result<std::vector<Change::Authority>> Change::authorities(const std::string& role) const {
  std::vector<Authority> out;
  if (is_top_level(role)) {
    if (repository_.root_) {
      out.push_back({repository_.root_->keys, repository_.root_->roles.at(role)});
    }
    if (const auto next = drafts_.find("root"); next != drafts_.end()) {
      auto root = tuf::parse_root(as_bytes(next->second.file()));
      if (!root) return fail(std::move(root.error()));
      out.push_back({root->role.keys, root->role.roles.at(role)});
    }
    if (out.empty()) return fail(Errc::not_found, "there is no root yet");
    return out;
  }
  std::optional<tuf::Targets> targets = repository_.targets_;
  if (const auto next = drafts_.find("targets"); next != drafts_.end()) {
    auto document = tuf::parse_targets(as_bytes(next->second.file()));
    if (!document) return fail(std::move(document.error()));
    targets = std::move(document->role);
  }
  if (targets && targets->delegations) {
    for (const tuf::DelegatedRole& delegated : targets->delegations->roles) {
      if (delegated.name == role) out.push_back({targets->delegations->keys, delegated.keys});
    }
  }
  if (out.empty()) return fail(Errc::not_found, role + ": not delegated to");
  return out;
}

Status Change::sign_role(const std::string& role, KeyStore& store) {
  auto list = authorities(role);
  if (!list) return fail(std::move(list.error()));
  Draft& draft = drafts_.at(role);
  std::vector<std::string> key_ids;
  for (const Authority& authority : *list) {
    for (const std::string& id : authority.role.key_ids) {
      if (!draft.signatures().contains(id)) key_ids.push_back(id);
    }
  }
  auto keys = store.unlock(key_ids);
  if (!keys) return fail(std::move(keys.error()));
  for (const Ed25519Key* key : *keys) {
    if (auto status = draft.add_signature(*key); !status) return status;
  }
  return {};
}

Status Change::sign(KeyStore& store) {
  for (const auto& [role, draft] : drafts_) {
    if (auto status = sign_role(role, store); !status) return fail(status.error(), role);
  }
  return {};
}

Status Change::check(const std::string& role, const std::string& file) const {
  auto proof = parse_proof(role, file);
  if (!proof) return fail(proof.error(), role);
  auto list = authorities(role);
  if (!list) return fail(std::move(list.error()));
  for (const Authority& authority : *list) {
    auto status = tuf::verify_signatures(*proof, authority.keys, authority.role);
    if (!status) return fail(status.error(), role);
  }
  return {};
}

Result<std::vector<Change::Missing>> Change::missing() const {
  std::vector<Missing> out;
  for (const auto& [role, draft] : drafts_) {
    auto status = check(role, draft.file());
    if (status) continue;
    if (status.error().code != Errc::bad_signature) return fail(std::move(status.error()));
    out.push_back({role, status.error().detail});
  }
  return out;
}

Status Change::save_pending() const {
  if (auto status = check_pending(); !status) return status;
  for (const auto& [role, draft] : drafts_) {
    if (is_online(role)) continue;  // made when the rest is complete
    auto status = write_file_atomic(repository_.pending_dir() / (role + ".json"), draft.file());
    if (!status) return status;
  }
  return {};
}

Status Change::make_online(KeyStore& store) {
  json::object& snapshot = edit("snapshot");
  if (!snapshot.contains("meta")) snapshot["meta"] = json::object{};
  for (const auto& [role, draft] : drafts_) {
    if (role == "root" || is_online(role)) continue;
    snapshot["meta"].as_object()[role + ".json"] = meta_object(draft.version(), draft.file());
  }
  if (auto status = sign_role("snapshot", store); !status) return status;

  const Draft& signed_snapshot = drafts_.at("snapshot");
  json::object& timestamp = edit("timestamp");
  json::object meta;
  meta["snapshot.json"] = meta_object(signed_snapshot.version(), signed_snapshot.file());
  timestamp["meta"] = std::move(meta);
  timestamp["issued"] = to_rfc3339(now_);
  return sign_role("timestamp", store);
}

Status Change::write(const std::string& role) const {
  const auto found = drafts_.find(role);
  if (found == drafts_.end()) return {};
  const std::string prefix =
      role == "timestamp" ? std::string() : std::to_string(found->second.version()) + ".";
  return write_file_atomic(repository_.metadata_dir() / (prefix + role + ".json"),
                           found->second.file());
}

Result<bool> Change::root_alone_suffices() const {
  if (drafts_.size() != 1 || !touches("root") || !repository_.root_ || !repository_.targets_) {
    return false;
  }
  auto next = tuf::parse_root(as_bytes(drafts_.at("root").file()));
  if (!next) return fail(std::move(next.error()));
  for (const char* role : {"snapshot", "timestamp"}) {
    const tuf::RoleKeys& before = repository_.root_->roles.at(role);
    const tuf::RoleKeys& after = next->role.roles.at(role);
    if (before.key_ids != after.key_ids || before.threshold != after.threshold) return false;
  }
  return true;
}

Status Change::check_all() const {
  for (const auto& [role, draft] : drafts_) {
    if (auto status = check(role, draft.file()); !status) return status;
  }
  // What is not re-signed must hold under what is: a new root may have other targets keys, new
  // targets other keys for a delegated role.
  for (const std::string& role : repository_.roles()) {
    if (role == "root" || is_online(role) || touches(role)) continue;
    auto status = check(role, repository_.current(role)->file());
    if (status || status.error().code == Errc::not_found) continue;  // no longer delegated to
    return fail(status.error(), "must be signed again");
  }
  return {};
}

Status Change::publish(KeyStore& store) {
  if (auto status = check_pending(); !status) return status;
  auto root_only = root_alone_suffices();
  if (!root_only) return fail(std::move(root_only.error()));
  if (!*root_only) {
    if (auto status = make_online(store); !status) return status;
  }
  if (auto status = check_all(); !status) return status;
  for (const auto& [role, draft] : drafts_) {
    if (role == "root" || is_online(role)) continue;
    if (auto status = write(role); !status) return status;
  }
  for (const char* role : {"snapshot", "timestamp", "root"}) {
    if (auto status = write(role); !status) return status;
  }
  std::error_code ec;
  for (const auto& [role, draft] : drafts_) {
    std::filesystem::remove(repository_.pending_dir() / (role + ".json"), ec);
  }
  return {};
}

Status Change::refresh_online(KeyStore& store) {
  drafts_.clear();
  return publish(store);
}

}  // namespace rap::sign
