#include "host/agent/snapshot/sync.hpp"

#include <algorithm>
#include <set>

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "host/agent/control/tuf_fetcher.hpp"
#include "host/agent/state/floor.hpp"
#include "signing/verify/countersignature.hpp"
#include "signing/verify/updater.hpp"

namespace rap::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kRootBytesMax = 512 << 10;

Result<ListedTarget> to_listed(const tuf::TargetInfo& info) {
  auto custom = parse_json(info.custom);
  if (!custom) return fail(custom.error(), info.path);
  return listed_target(info.path, static_cast<std::uint64_t>(info.length), info.sha256(), *custom);
}

// A listed target and what is needed to fetch it.
struct Found {
  tuf::TargetInfo info;
  ListedTarget listed;
};

Result<std::optional<Found>> find(tuf::TufClient& client, const std::string& path) {
  auto info = client.find_target(path);
  if (!info) return fail(std::move(info.error()));
  if (!*info) return std::optional<Found>();
  auto listed = to_listed(**info);
  if (!listed) return fail(std::move(listed.error()));
  return std::optional<Found>(Found{std::move(**info), std::move(*listed)});
}

std::optional<ListedTarget> listed_of(const std::optional<Found>& found) {
  if (!found) return std::nullopt;
  return found->listed;
}

// Most of what can go wrong names the target already.
Error download_failure(Error error, const std::string& target) {
  const bool named = error.detail.starts_with(target + ":");
  error.detail = "download of " + (named ? "" : target + ": ") + error.detail;
  return error;
}

class Sync {
 public:
  Sync(const SyncInput& input, TufFetcher& fetcher)
      : input_(input), fetcher_(fetcher), store_(input.state.store()) {}

  Result<SyncOutput> run() {
    auto floor = read_floor(input_.state.floor());
    if (!floor) return fail(floor.error(), "restore it, or remove it and enroll again");
    floor_ = *floor;
    tuf::TufClient director(config_of("director", input_.state.tuf_cluster(input_.cluster_id)),
                            fetcher_, clock_);
    if (Status trusted = trust_director(); !trusted) return fail(trusted.error(), "director");
    if (Status fresh = director.refresh(); !fresh) return fail(fresh.error(), "director");
    if (Status read = read_snapshots(director); !read) return fail(std::move(read.error()));
    collect_releases(director);
    if (Status kept = keep(); !kept) return fail(std::move(kept.error()));
    drop_unused_artifacts();
    SyncOutput out;
    out.applied = std::make_shared<const Applied>(std::move(next_));
    out.release_trouble = std::move(release_trouble_);
    out.release_trouble_code = release_trouble_code_;
    return out;
  }

 private:
  tuf::TufClientConfig config_of(const std::string& repository, const fs::path& directory) const {
    tuf::TufClientConfig out;
    out.metadata_dir = directory;
    out.metadata_url = input_.server.base_url + "/tuf/" + repository + "/metadata";
    out.targets_dir = directory / "targets";
    out.targets_url = input_.server.base_url + "/tuf/" + repository + "/targets";
    return out;
  }

  static Status initialise(const fs::path& directory, ByteView root) {
    if (tuf::TufClient::is_initialised(directory)) return {};
    std::error_code ec;
    fs::create_directories(directory, ec);
    if (ec) return fail(Errc::internal, directory.string() + ": " + ec.message());
    return tuf::TufClient::init(directory, root);
  }

  // The first time only: from then on what is on the disk is trusted, and changes by TUF's rule for
  // roots. Nothing is stored before R's `trust` role vouches for the root.
  Status trust_director() {
    const fs::path directory = input_.state.tuf_cluster(input_.cluster_id);
    if (tuf::TufClient::is_initialised(directory)) return {};
    tuf::TufClient release(config_of("release", input_.state.tuf_release()), fetcher_, clock_);
    if (Status ready = open_release(release); !ready) {
      return fail(ready.error(), "release repository, which says who vouches for it");
    }
    auto root = vouched_root(*release.top_level());
    if (!root) return fail(std::move(root.error()));
    return initialise(directory, *root);
  }

  // The approval's root; or its newer copy, when the signatures came after the approval.
  Result<Bytes> vouched_root(const tuf::Targets& release) {
    const Bytes approved = to_bytes(input_.director_root);
    auto first = tuf::check_countersigned_root(approved, input_.cluster_id, release);
    if (first) return approved;
    if (first.error().code != Errc::bad_signature) return fail(std::move(first.error()));
    auto newer = fetcher_.fetch(input_.server.base_url + "/tuf/director/metadata/1.root.json",
                                kRootBytesMax);
    if (!newer) return fail(newer.error(), "root version 1");
    auto second = tuf::check_countersigned_root(*newer, input_.cluster_id, release);
    if (!second && second.error().code == Errc::bad_signature) {
      return fail(second.error().code,
                  second.error().detail +
                      ". The owner runs rapctl cluster root export, has the holders sign it "
                      "(rap-sign sign) and runs rapctl cluster root import");
    }
    if (!second) return fail(std::move(second.error()));
    return newer;
  }

  // One snapshot, for this node, not outdated.
  Result<std::string> snapshot(tuf::TufClient& director, const std::string& kind) {
    const std::string path = "snap/" + kind + ".json";
    auto found = find(director, path);
    if (!found) return fail(std::move(found.error()));
    if (!*found) return fail(Errc::not_found, "director: does not list " + path);
    const NodeScope scope{input_.cluster_id, input_.node_id, floor_.authority_term};
    if (Status meant = check_scope((*found)->listed, scope); !meant) {
      return fail(meant.error(), "director");
    }
    highest_term_ = std::max(highest_term_, (*found)->listed.authority_term);
    auto bytes = director.fetch_bytes((*found)->info, kSnapshotBytesMax);
    if (!bytes) return fail(bytes.error(), "director");
    return std::string(as_text(*bytes));
  }

  Status read_snapshots(tuf::TufClient& director) {
    for (const auto& [kind, into] :
         {std::pair{"membership", &next_.membership_text}, std::pair{"roles", &next_.roles_text},
          std::pair{"access", &next_.access_text}}) {
      auto text = snapshot(director, kind);
      if (!text) return fail(std::move(text.error()));
      *into = std::move(*text);
    }
    auto membership = parse_membership(next_.membership_text);
    if (!membership) return fail(std::move(membership.error()));
    if (membership->cluster_id != input_.cluster_id || membership->node_id != input_.node_id) {
      return fail(Errc::forbidden, "director: the membership is another node's");
    }
    if (membership->authority_term < floor_.authority_term) {
      return fail(Errc::rollback, "director: the membership is of an outdated authority");
    }
    auto roles = parse_roles(next_.roles_text);
    if (!roles) return fail(std::move(roles.error()));
    auto access = parse_access(next_.access_text);
    if (!access) return fail(std::move(access.error()));
    next_.membership = std::move(*membership);
    next_.roles = std::move(*roles);
    next_.access = std::move(*access);
    next_.director_version = director.versions().timestamp;
    next_.director_expires = director.expires_at();
    return read_directory(director);
  }

  // The peer directory, when D lists one: the mesh judges what it says, here counts whom it is for.
  Status read_directory(tuf::TufClient& director) {
    auto found = find(director, "snap/mesh.json");
    if (!found) return fail(std::move(found.error()));
    if (!*found) return {};
    const NodeScope scope{input_.cluster_id, input_.node_id, floor_.authority_term};
    if (Status meant = check_scope((*found)->listed, scope); !meant) {
      return fail(meant.error(), "director");
    }
    next_.directory_sha256 = (*found)->listed.sha256;
    const Applied* before = input_.previous.get();
    if (before != nullptr && before->directory != nullptr &&
        before->directory_sha256 == next_.directory_sha256) {
      next_.directory = before->directory;
      return {};
    }
    auto text = snapshot(director, "mesh");
    if (!text) return fail(std::move(text.error()));
    Status meant = check_peer_directory(*text, input_.cluster_id, input_.node_id);
    if (!meant) return fail(meant.error(), "director");
    next_.directory = std::make_shared<const std::string>(*std::move(text));
    return {};
  }

  const ReleaseResult* known(const ReleaseKey& key) const {
    if (input_.previous == nullptr) return nullptr;
    const auto found = input_.previous->releases.find(key);
    return found == input_.previous->releases.end() ? nullptr : &found->second;
  }

  void collect_releases(tuf::TufClient& director) {
    std::set<ReleaseKey> wanted;
    for (const RoleAssignment& role : next_.roles) {
      if (!role.product.empty()) wanted.insert({role.product, role.version});
    }
    const bool all_known = std::all_of(wanted.begin(), wanted.end(), [&](const ReleaseKey& key) {
      const ReleaseResult* release = known(key);
      return release != nullptr && release->has_value();
    });
    if (input_.previous != nullptr) next_.release_expires = input_.previous->release_expires;
    if (wanted.empty() || (input_.scope == SyncInput::Scope::director_only && all_known)) {
      for (const ReleaseKey& key : wanted) next_.releases.emplace(key, *known(key));
      return;
    }

    const fs::path directory = input_.state.tuf_release();
    tuf::TufClient release(config_of("release", directory), fetcher_, clock_);
    Status ready = open_release(release);
    if (!ready) {
      release_trouble_ = "release repository: " + ready.error().text();
      release_trouble_code_ = ready.error().code;
    }
    for (const ReleaseKey& key : wanted) {
      auto result = ready ? release_of(director, release, key)
                          : ReleaseResult(fail(ready.error(), "release repository"));
      // Trusted before, and R has no fresh word just now, be it away, expired or forged: nothing
      // new is trusted, and what runs goes on running.
      const ReleaseResult* before = known(key);
      const bool no_word = !ready || (!result && is_source_trouble(result.error()));
      if (no_word && before != nullptr && *before) {
        if (release_trouble_.empty()) release_trouble_ = result.error().text();
        result = *before;
      }
      next_.releases.emplace(key, std::move(result));
    }
    for (const RoleAssignment& role : next_.roles) {
      const auto assigned = next_.releases.find({role.product, role.version});
      if (assigned == next_.releases.end() || assigned->second) continue;
      keep_before(director, ready ? &release : nullptr, role);
    }
  }

  // The assigned release is refused: the one that served this assignment goes on, as long as D
  // lists it for this node and R, if it has a word, lists it too, and its epoch is not below that
  // of the assigned one. A null `release`: R has no fresh word.
  void keep_before(tuf::TufClient& director, tuf::TufClient* release, const RoleAssignment& role) {
    const ReleaseKey* before = served_before(role);
    if (before == nullptr) return;
    const std::string path = manifest_path(before->first, before->second);
    auto listed = find(director, path);
    auto assigned = find(director, manifest_path(role.product, role.version));
    if (!listed || !*listed || !assigned || !*assigned) return;
    const NodeScope scope{input_.cluster_id, input_.node_id, floor_.authority_term};
    if (!check_scope((*listed)->listed, scope)) return;
    if ((*listed)->listed.security_epoch < (*assigned)->listed.security_epoch) return;
    ReleaseResult result = *known(*before);
    if ((*listed)->listed.sha256 != to_hex(sha256(result->manifest_text))) return;
    if (release != nullptr) {
      auto fresh = release_of(director, *release, *before);
      if (!fresh && !is_source_trouble(fresh.error())) return;
    }
    next_.instead[role.assignment_id] = before->second;
    next_.releases.emplace(*before, std::move(result));
  }

  // What was in force for the same assignment, as a key of `previous->releases`; null: nothing
  // else that was verified.
  const ReleaseKey* served_before(const RoleAssignment& role) const {
    if (input_.previous == nullptr) return nullptr;
    const Applied& previous = *input_.previous;
    for (const RoleAssignment& before : previous.roles) {
      if (before.assignment_id != role.assignment_id || before.role != role.role ||
          before.product != role.product) {
        continue;
      }
      const auto found =
          previous.releases.find({before.product, version_in_force(previous, before)});
      if (found == previous.releases.end() || !found->second) return nullptr;
      return found->first.second == role.version ? nullptr : &found->first;
    }
    return nullptr;
  }

  static bool is_source_trouble(const Error& error) {
    return error.code == Errc::unavailable || error.code == Errc::timeout;
  }

  Status open_release(tuf::TufClient& release) {
    const fs::path directory = input_.state.tuf_release();
    if (!tuf::TufClient::is_initialised(directory)) {
      auto root = read_file(input_.release_root, kRootBytesMax);
      if (!root) return fail(root.error(), "release_root of the configuration");
      if (Status made = initialise(directory, *root); !made) return made;
    }
    Status fresh = release.refresh();
    if (fresh) next_.release_expires = release.expires_at();
    return fresh;
  }

  ReleaseResult release_of(tuf::TufClient& director, tuf::TufClient& release,
                           const ReleaseKey& key) {
    const auto epoch = floor_.security_epochs.find(key.first);
    const std::int64_t epoch_floor = epoch == floor_.security_epochs.end() ? 0 : epoch->second;
    const std::string path = manifest_path(key.first, key.second);
    auto agreed = agree(director, release, path, epoch_floor);
    if (!agreed) return fail(std::move(agreed.error()));
    auto text = release.fetch_bytes(agreed->info, loader::kManifestBytesMax);
    if (!text) return fail(download_failure(text.error(), path));
    auto out = release_from_manifest(std::string(as_text(*text)), agreed->listed);
    if (!out) return out;

    auto variant = loader::variant_for_this_machine(out->manifest);
    if (!variant) return fail(std::move(variant.error()));
    auto artifact = agree(director, release, variant->target, epoch_floor);
    if (!artifact) return fail(std::move(artifact.error()));
    if (artifact->listed.sha256 != out->artifact_sha256 ||
        artifact->listed.length != out->artifact_length) {
      return fail(Errc::mismatch, variant->target + ": manifest and listing disagree");
    }
    if (!store_.has(out->artifact_sha256, out->artifact_length)) {
      const auto download = [&](const fs::path& to) {
        return release.download_to(artifact->info, to);
      };
      if (Status added = store_.add(out->artifact_sha256, download); !added) {
        return fail(download_failure(added.error(), variant->target));
      }
    }
    auto& reached = floor_.security_epochs[key.first];
    reached = std::max(reached, out->manifest.security_epoch);
    return out;
  }

  // The target as R lists it, when D says the same for this node.
  Result<Found> agree(tuf::TufClient& director, tuf::TufClient& release, const std::string& path,
                      std::int64_t epoch_floor) {
    auto in_director = find(director, path);
    if (!in_director) return fail(in_director.error(), "director");
    auto in_release = find(release, path);
    if (!in_release) return fail(in_release.error(), "release repository");
    Status same = check_consensus(listed_of(*in_release), listed_of(*in_director), epoch_floor);
    if (!same) return fail(std::move(same.error()));
    const NodeScope scope{input_.cluster_id, input_.node_id, floor_.authority_term};
    if (Status meant = check_scope((*in_director)->listed, scope); !meant) {
      return fail(std::move(meant.error()));
    }
    return std::move(**in_release);
  }

  // First the floor, then the set: a crash in between refuses nothing that was accepted.
  Status keep() {
    Floor raised = floor_;
    raised.authority_term = std::max(floor_.authority_term, highest_term_);
    raised.clock_unix_s = std::max(floor_.clock_unix_s, next_.membership.issued_at_unix_s);
    auto before = read_floor(input_.state.floor());
    if (!before || !(*before == raised)) {
      if (Status written = write_floor(input_.state.floor(), raised); !written) return written;
    }
    return write_applied(input_.state, next_);
  }

  // Keeps what is assigned now, and what was until now for workers that are just being started.
  // Those that run have their own sealed copy.
  void drop_unused_artifacts() {
    std::set<std::string> keep;
    for (const auto& [key, release] : next_.releases) {
      if (!release) return;  // which bytes it needs is not known
      keep.insert(release->artifact_sha256);
    }
    if (input_.previous != nullptr) {
      for (const auto& [key, release] : input_.previous->releases) {
        if (release) keep.insert(release->artifact_sha256);
      }
    }
    store_.collect([&](const std::string& sha256_hex) { return keep.contains(sha256_hex); });
  }

  const SyncInput& input_;
  TufFetcher& fetcher_;
  RealClock clock_;
  ArtifactStore store_;
  Floor floor_;
  std::int64_t highest_term_ = 0;
  Applied next_;
  std::string release_trouble_;
  Errc release_trouble_code_ = Errc::unavailable;
};

}  // namespace

Result<SyncOutput> sync_snapshots(const SyncInput& input) {
  auto fetcher = TufFetcher::create(input.server, input.identity);
  if (!fetcher) return fail(std::move(fetcher.error()));
  return Sync(input, **fetcher).run();
}

}  // namespace rap::agent
