// R, the release repository, on disk: what is published, and publishing a change of it.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/result.hpp"
#include "signing/sign/draft.hpp"
#include "signing/sign/key_store.hpp"
#include "signing/verify/metadata.hpp"

namespace rap::sign {

// Layout: metadata/{N.root,N.targets,N.<role>,N.snapshot,timestamp}.json and
// targets/<dir>/<sha256>.<name>, to be served as they are; pending/<role>.json waits for more
// signatures and is not served.
class ReleaseRepository {
 public:
  // Opens for reading; an empty or absent directory gives a repository without a root.
  static Result<ReleaseRepository> open(std::filesystem::path directory);
  // Also keeps every other writer out until destroyed; makes the directories. `conflict` when
  // another one holds it.
  static Result<ReleaseRepository> open_for_writing(std::filesystem::path directory);

  const std::filesystem::path& directory() const { return directory_; }
  std::filesystem::path metadata_dir() const { return directory_ / "metadata"; }
  std::filesystem::path targets_dir() const { return directory_ / "targets"; }
  std::filesystem::path pending_dir() const { return directory_ / "pending"; }

  bool is_initialised() const { return drafts_.contains("root"); }
  // The published file of a role, or null. Roles: root, targets, snapshot, timestamp, delegated.
  const Draft* current(const std::string& role) const;
  std::vector<std::string> roles() const;

  // What the published targets metadata says; nullopt before the first one.
  const std::optional<tuf::Targets>& targets() const { return targets_; }
  const std::optional<tuf::Root>& root() const { return root_; }
  // The delegated role that speaks for `path`; `not_found` when there is none.
  Result<std::string> role_for_path(const std::string& path) const;
  // Everything a role lists.
  Result<tuf::Targets> role_targets(const std::string& role) const;

  // Copies a file to where consistent-snapshot clients ask for it. Nothing refers to it yet.
  Status add_target_file(const std::string& path, ByteView bytes) const;

 private:
  friend class Change;
  explicit ReleaseRepository(std::filesystem::path directory) : directory_(std::move(directory)) {}

  Status load();
  Status load_role(const std::string& role, std::int64_t version);
  Status load_root();

  std::filesystem::path directory_;
  Fd lock_;
  std::map<std::string, Draft> drafts_;
  std::optional<tuf::Root> root_;
  std::optional<tuf::Targets> targets_;
};

// New versions of some roles of a repository, from the first edit to publication.
class Change {
 public:
  // `repository` must outlive the change.
  Change(const ReleaseRepository& repository, SystemTime now);

  // Continues what waits in pending/. `conflict` when something newer was published meanwhile.
  Status load_pending();

  // The body of the next version of `role`: a copy of the published one, or a new one.
  boost::json::object& edit(const std::string& role);
  bool touches(const std::string& role) const { return drafts_.contains(role); }
  const std::map<std::string, Draft>& drafts() const { return drafts_; }

  // Signs every draft with those keys of `store` that the role's delegator lists (for root: the
  // old and the new one).
  Status sign(KeyStore& store);

  struct Missing {
    std::string role;
    std::string detail;
  };
  // Roles whose threshold is not reached.
  Result<std::vector<Missing>> missing() const;

  // Keeps the drafts in pending/ for more signatures. `conflict`, as in publish(), when another
  // change of the same role waits there.
  Status save_pending() const;

  // Makes snapshot and timestamp, checks every signature as a client would, and writes: new names
  // first, then the timestamp, whose rename is the commit; a new root last, after a snapshot and
  // timestamp that the old and the new root accept. Killed at any point, it leaves the old or the
  // new repository. Removes what was pending.
  Status publish(KeyStore& store);
  // Re-signs snapshot and timestamp alone.
  Status refresh_online(KeyStore& store);

 private:
  struct Authority {
    tuf::KeyRing keys;
    tuf::RoleKeys role;
  };
  // Who may sign `role`: one authority, or two when a new root changes them.
  Result<std::vector<Authority>> authorities(const std::string& role) const;
  Status check(const std::string& role, const std::string& file) const;
  // True for a new root that leaves the online keys as they are: nothing else changes then.
  Result<bool> root_alone_suffices() const;
  Status check_all() const;
  // Another change's signatures are not thrown away.
  Status check_pending() const;
  Status sign_role(const std::string& role, KeyStore& store);
  Status make_online(KeyStore& store);
  Status write(const std::string& role) const;

  const ReleaseRepository& repository_;
  SystemTime now_;
  std::map<std::string, Draft> drafts_;
  bool continues_pending_ = false;
};

// How long a new version of `role` lasts (updates.md 4.2).
std::chrono::hours lifetime_of(const std::string& role);

}  // namespace rap::sign
