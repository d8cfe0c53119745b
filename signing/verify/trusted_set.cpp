#include "signing/verify/trusted_set.hpp"

#include <algorithm>

namespace rap::tuf {
namespace {

tl::unexpected<Error> fail_version(Errc code, std::string_view what, std::int64_t got,
                                   std::int64_t want) {
  return fail(code, std::string(what) + ": version " + std::to_string(got) +
                        ", trusted or wanted " + std::to_string(want));
}

tl::unexpected<Error> fail_expired(std::string_view what, SystemTime when) {
  return fail(Errc::expired, std::string(what) + " expired " + to_rfc3339(when));
}

}  // namespace

Status TrustedSet::verify_top(const SignedBytes& proof, const char* role) const {
  auto status = verify_signatures(proof, root_->keys, root_->roles.at(role));
  if (!status) return fail(status.error(), role);
  return {};
}

Status TrustedSet::load_root(ByteView bytes) {
  auto document = parse_root(bytes);
  if (!document) return fail(std::move(document.error()));
  const Root& root = document->role;
  auto status = verify_signatures(document->proof, root.keys, root.roles.at("root"));
  if (!status) return fail(status.error(), "trusted root");
  root_ = std::move(document->role);
  return {};
}

Status TrustedSet::update_root(ByteView bytes) {
  auto document = parse_root(bytes);
  if (!document) return fail(std::move(document.error()));
  const Root& next = document->role;
  if (auto status = verify_top(document->proof, "root"); !status) {
    return fail(status.error(), "by the keys of root version " + std::to_string(root_->version));
  }
  if (next.version != root_->version + 1) {
    return fail_version(Errc::rollback, "root", next.version, root_->version + 1);
  }
  auto status = verify_signatures(document->proof, next.keys, next.roles.at("root"));
  if (!status) return fail(status.error(), "new root by its own keys");
  root_ = std::move(document->role);
  return {};
}

Status TrustedSet::check_root_fresh() const {
  if (root_->expires <= now_) return fail_expired("root", root_->expires);
  return {};
}

Status TrustedSet::load_timestamp(ByteView bytes) {
  auto document = parse_timestamp(bytes);
  if (!document) return fail(std::move(document.error()));
  if (auto status = verify_top(document->proof, "timestamp"); !status) return status;
  timestamp_ = std::move(document->role);
  return {};
}

Result<Update> TrustedSet::update_timestamp(ByteView bytes) {
  auto document = parse_timestamp(bytes);
  if (!document) return fail(std::move(document.error()));
  if (auto status = verify_top(document->proof, "timestamp"); !status) {
    return fail(std::move(status.error()));
  }
  const Timestamp& next = document->role;
  if (timestamp_) {
    if (next.version < timestamp_->version) {
      return fail_version(Errc::rollback, "timestamp", next.version, timestamp_->version);
    }
    if (next.version == timestamp_->version) return Update::unchanged;
    if (next.snapshot.version < timestamp_->snapshot.version) {
      return fail_version(Errc::rollback, "snapshot named by timestamp", next.snapshot.version,
                          timestamp_->snapshot.version);
    }
  }
  if (next.expires <= now_) return fail_expired("timestamp", next.expires);
  timestamp_ = std::move(document->role);
  return Update::replaced;
}

Status TrustedSet::check_timestamp_fresh() const {
  if (timestamp_->expires <= now_) return fail_expired("timestamp", timestamp_->expires);
  return {};
}

Status TrustedSet::load_snapshot(ByteView bytes) {
  auto document = parse_snapshot(bytes);
  if (!document) return fail(std::move(document.error()));
  if (auto status = verify_top(document->proof, "snapshot"); !status) return status;
  snapshot_ = std::move(document->role);
  snapshot_bytes_.assign(bytes.begin(), bytes.end());
  return {};
}

bool TrustedSet::snapshot_is_current() const {
  return snapshot_ && snapshot_->version == timestamp_->snapshot.version &&
         snapshot_->expires > now_ &&
         verify_meta_file(timestamp_->snapshot, snapshot_bytes_).has_value();
}

Status TrustedSet::check_stored_snapshot() const {
  const MetaFile& meta = timestamp_->snapshot;
  if (snapshot_->version > meta.version) {
    return fail_version(Errc::mismatch, "stored snapshot", snapshot_->version, meta.version);
  }
  if (snapshot_->version < meta.version) return {};
  return verify_meta_file(meta, snapshot_bytes_);
}

Status TrustedSet::update_snapshot(ByteView bytes) {
  const MetaFile& meta = timestamp_->snapshot;
  if (auto status = verify_meta_file(meta, bytes); !status) {
    return fail(status.error(), "snapshot");
  }
  auto document = parse_snapshot(bytes);
  if (!document) return fail(std::move(document.error()));
  if (auto status = verify_top(document->proof, "snapshot"); !status) return status;
  const Snapshot& next = document->role;
  if (next.version != meta.version) {
    return fail_version(Errc::mismatch, "snapshot", next.version, meta.version);
  }
  if (snapshot_) {
    for (const auto& [name, trusted] : snapshot_->meta) {
      const auto found = next.meta.find(name);
      if (found == next.meta.end()) {
        return fail(Errc::rollback, "snapshot no longer lists " + name);
      }
      if (found->second.version < trusted.version) {
        return fail_version(Errc::rollback, name, found->second.version, trusted.version);
      }
    }
  }
  if (next.expires <= now_) return fail_expired("snapshot", next.expires);
  snapshot_ = std::move(document->role);
  snapshot_bytes_.assign(bytes.begin(), bytes.end());
  return {};
}

const MetaFile* TrustedSet::meta_of(const std::string& role) const {
  const auto found = snapshot_->meta.find(role + ".json");
  return found == snapshot_->meta.end() ? nullptr : &found->second;
}

Status TrustedSet::verify_targets(const SignedBytes& proof, const std::string& role,
                                  const Targets* parent) const {
  if (parent == nullptr) return verify_top(proof, "targets");
  const Delegations& delegations = *parent->delegations;
  if (delegations.succinct) {
    return verify_signatures(proof, delegations.keys, delegations.succinct->keys);
  }
  const auto found = std::find_if(delegations.roles.begin(), delegations.roles.end(),
                                  [&](const DelegatedRole& d) { return d.name == role; });
  if (found == delegations.roles.end()) return fail(Errc::bad_signature, "not delegated to");
  return verify_signatures(proof, delegations.keys, found->keys);
}

Status TrustedSet::update_targets(ByteView bytes, const std::string& role, const Targets* parent,
                                  Age age) {
  const MetaFile* meta = meta_of(role);
  if (meta == nullptr) return fail(Errc::malformed, "snapshot does not list " + role);
  auto document = parse_targets(bytes, role);
  if (!document) return fail(document.error(), role);
  const Targets& next = document->role;
  const bool may_be_older = age == Age::any && next.version < meta->version;
  if (!may_be_older) {
    if (auto status = verify_meta_file(*meta, bytes); !status) return fail(status.error(), role);
  }
  if (auto status = verify_targets(document->proof, role, parent); !status) {
    return fail(status.error(), role);
  }
  if (!may_be_older && next.version != meta->version) {
    return fail_version(Errc::mismatch, role, next.version, meta->version);
  }
  if (age == Age::current && next.expires <= now_) return fail_expired(role, next.expires);
  targets_.insert_or_assign({parent, role}, std::move(document->role));
  return {};
}

const Targets* TrustedSet::targets(const std::string& role, const Targets* parent) const {
  const auto found = targets_.find({parent, role});
  return found == targets_.end() ? nullptr : &found->second;
}

}  // namespace rap::tuf
