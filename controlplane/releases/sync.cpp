#include "controlplane/releases/sync.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"
#include "signing/verify/directory_fetcher.hpp"
#include "signing/verify/updater.hpp"

namespace rap::cp {
namespace {

namespace fs = std::filesystem;

// A manifest has a few KiB; this is for one with hundreds of variants.
constexpr std::size_t kManifestMax = 1 << 20;
constexpr std::size_t kRootMax = 512 << 10;
constexpr std::size_t kTargetsMax = 5 << 20;  // what the client accepts

constexpr const char* kUnlistAll = "update releases set listed = false where listed";
constexpr const char* kUpsertRelease = R"sql(
  insert into releases
    (id, product, version, release_seq, security_epoch, manifest_path, manifest_length,
     manifest_sha256, manifest_custom, manifest, listed, synced_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, true, $11)
  on conflict (product, version) do update set
    release_seq = excluded.release_seq, security_epoch = excluded.security_epoch,
    manifest_path = excluded.manifest_path, manifest_length = excluded.manifest_length,
    manifest_sha256 = excluded.manifest_sha256, manifest_custom = excluded.manifest_custom,
    manifest = excluded.manifest, listed = true, synced_at = excluded.synced_at
  returning id
)sql";
constexpr const char* kForgetArtifacts = "delete from artifacts where release_id = $1";
constexpr const char* kInsertArtifact = R"sql(
  insert into artifacts (id, release_id, os, arch, libc, target_path, length, sha256, custom)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
)sql";
constexpr const char* kForgetChannels = "delete from release_channels";
constexpr const char* kInsertChannel = R"sql(
  insert into release_channels
    (product, channel, version, manifest_sha256, min_epoch, history, synced_at)
  values ($1, $2, $3, $4, $5, $6, $7)
  on conflict (product, channel) do nothing
)sql";
constexpr const char* kKeepTargets = R"sql(
  insert into release_delegations (targets, synced_at) values ($1, $2)
  on conflict (one_row) do update set targets = excluded.targets, synced_at = excluded.synced_at
)sql";
constexpr const char* kUnlisted = "select count(*) as n from releases where not listed";

// What delegated roles say they have. Only names to ask the client for: it verifies each.
std::vector<std::string> paths_to_ask(const fs::path& storage, const fs::path& trusted) {
  std::vector<std::string> paths;
  const auto bytes = read_file(trusted / "snapshot.json", 4 << 20);
  if (!bytes) return paths;
  const auto snapshot = tuf::parse_snapshot(*bytes);
  if (!snapshot) return paths;
  for (const auto& [file, meta] : snapshot->role.meta) {
    const fs::path name = std::to_string(meta.version) + "." + file;
    const auto role = read_file(storage / "metadata" / name, 8 << 20);
    if (!role) continue;
    const auto targets = tuf::parse_targets(*role, file);
    if (!targets) continue;
    for (const auto& [path, info] : targets->role.targets) paths.push_back(path);
  }
  return paths;
}

std::vector<std::string> split(const std::string& path) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  for (std::size_t at = 0; at <= path.size(); ++at) {
    if (at == path.size() || path[at] == '/') {
      parts.push_back(path.substr(from, at - from));
      from = at + 1;
    }
  }
  return parts;
}

// The files of one R, each verified when it is taken.
class Reader {
 public:
  explicit Reader(tuf::TufClient& client) : client_(client) {}

  FoundStorage found;

  void take(const std::string& path) {
    const auto parts = split(path);
    const auto outcome = take_known(path, parts);
    if (!outcome) found.skipped.push_back(path + ": " + outcome.error().text());
  }

 private:
  Status take_known(const std::string& path, const std::vector<std::string>& parts) {
    if (parts.size() == 4 && parts[0] == "rel" && parts[3] == "manifest.json") {
      return take_manifest(path, parts[1], parts[2]);
    }
    if (parts.size() == 3 && parts[0] == "channels" && parts[2].ends_with(".json")) {
      return take_channel(path, parts[1], parts[2].substr(0, parts[2].size() - 5));
    }
    return {};
  }

  Result<boost::json::object> read_object(const std::string& path, tuf::TargetInfo& info) {
    const auto target = client_.find_target(path);
    if (!target) return fail(target.error());
    if (!*target) return fail(Errc::not_found, "no role that may sign it lists it");
    info = **target;
    const auto bytes = client_.fetch_bytes(info, kManifestMax);
    if (!bytes) return fail(bytes.error());
    auto value = parse_json(as_text(*bytes));
    if (!value) return fail(value.error());
    if (!value->is_object()) return fail(Errc::malformed, "not an object");
    return std::move(value->get_object());
  }

  Status take_manifest(const std::string& path, const std::string& product,
                       const std::string& version) {
    tuf::TargetInfo info;
    const auto manifest = read_object(path, info);
    if (!manifest) return fail(manifest.error());
    FoundRelease release;
    release.product = product;
    release.version = version;
    if (json_string_or_none(*manifest, "product") != product ||
        json_string_or_none(*manifest, "version") != version) {
      return fail(Errc::mismatch, "the manifest is of another product or version");
    }
    const auto seq = json_int(*manifest, "release_seq");
    if (!seq) return fail(seq.error());
    release.release_seq = *seq;
    release.security_epoch = json_int_or_none(*manifest, "security_epoch").value_or(0);
    release.manifest_path = path;
    release.manifest_length = info.length;
    release.manifest_sha256 = info.sha256();
    release.manifest_custom = info.custom;
    release.manifest = boost::json::serialize(*manifest);
    const auto variants = json_array(*manifest, "variants");
    if (!variants) return fail(variants.error());
    for (const auto& item : **variants) {
      if (!item.is_object()) return fail(Errc::malformed, "a variant is no object");
      if (auto taken = take_variant(item.get_object(), release); !taken) return taken;
    }
    found.releases.push_back(std::move(release));
    return {};
  }

  Status take_variant(const boost::json::object& variant, FoundRelease& release) {
    FoundArtifact artifact;
    artifact.path = json_string_or_none(variant, "target").value_or("");
    artifact.os = json_string_or_none(variant, "os").value_or("");
    artifact.arch = json_string_or_none(variant, "arch").value_or("");
    artifact.libc = json_string_or_none(variant, "libc").value_or("");
    const auto target = client_.find_target(artifact.path);
    if (!target) return fail(target.error(), artifact.path);
    if (!*target) return fail(Errc::not_found, artifact.path + " is not listed");
    if (json_int_or_none(variant, "length") != (*target)->length ||
        json_string_or_none(variant, "sha256") != (*target)->sha256()) {
      return fail(Errc::mismatch, artifact.path + ": manifest and metadata disagree");
    }
    artifact.length = (*target)->length;
    artifact.sha256 = (*target)->sha256();
    artifact.custom = (*target)->custom;
    release.artifacts.push_back(std::move(artifact));
    return {};
  }

  Status take_channel(const std::string& path, const std::string& product,
                      const std::string& channel) {
    tuf::TargetInfo info;
    const auto document = read_object(path, info);
    if (!document) return fail(document.error());
    const auto version = json_string(*document, "version");
    if (!version) return fail(version.error());
    FoundChannel out{product,  channel,
                     *version, json_string_or_none(*document, "manifest_sha256").value_or(""),
                     "[]",     json_int_or_none(*document, "min_epoch").value_or(0)};
    if (const auto history = json_array(*document, "history")) {
      out.history = boost::json::serialize(**history);
    }
    found.channels.push_back(std::move(out));
    return {};
  }

  tuf::TufClient& client_;
};

}  // namespace

Result<FoundStorage> read_version_storage(const fs::path& storage, const fs::path& trusted,
                                          const Clock& clock) {
  if (storage.empty()) return fail(Errc::unavailable, "version_storage is not configured");
  std::error_code error;
  fs::create_directories(trusted, error);
  // The client's folder has one user at a time, among threads and among processes.
  const Fd one_reader(::open((trusted / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!one_reader || ::flock(one_reader.get(), LOCK_EX) != 0) {
    return fail(Errc::internal, "release metadata: " + errno_text(errno));
  }
  if (!tuf::TufClient::is_initialised(trusted)) {
    const auto root = read_file(storage / "metadata" / "1.root.json", kRootMax);
    if (!root) return fail(root.error(), "Version Storage has no root");
    if (auto done = tuf::TufClient::init(trusted, *root); !done) return fail(done.error());
  }
  tuf::DirectoryFetcher fetcher("storage:/", storage);
  tuf::TufClientConfig config;
  config.metadata_dir = trusted;
  config.metadata_url = "storage:/metadata";
  config.targets_dir = trusted / "targets";
  config.targets_url = "storage:/targets";
  tuf::TufClient client(config, fetcher, clock);
  if (auto done = client.refresh(); !done) return fail(done.error(), "Version Storage");
  Reader reader(client);
  for (const std::string& path : paths_to_ask(storage, trusted)) reader.take(path);
  const auto targets = read_file(trusted / "targets.json", kTargetsMax);
  if (!targets) return fail(targets.error(), "release metadata");
  reader.found.targets = as_text(*targets);
  return std::move(reader.found);
}

SyncReport store_releases(Tx& tx, const FoundStorage& found, SystemTime now) {
  SyncReport report;
  tx.query(kKeepTargets, {found.targets, now});
  tx.query(kUnlistAll);
  for (const FoundRelease& release : found.releases) {
    const auto digest = from_hex(release.manifest_sha256);
    if (!digest) continue;
    const auto fresh = ReleaseId::fresh();
    const Rows rows = tx.query(
        kUpsertRelease, {fresh, release.product, release.version, release.release_seq,
                         release.security_epoch, release.manifest_path, release.manifest_length,
                         *digest, release.manifest_custom, release.manifest, now});
    const std::string id = rows[0].text("id");
    if (id == fresh.str()) ++report.added;
    tx.query(kForgetArtifacts, {id});
    for (const FoundArtifact& artifact : release.artifacts) {
      const auto sha = from_hex(artifact.sha256);
      if (!sha) continue;
      tx.query(kInsertArtifact, {ArtifactId::fresh(), id, artifact.os, artifact.arch, artifact.libc,
                                 artifact.path, artifact.length, *sha, artifact.custom});
    }
    ++report.releases;
  }
  tx.query(kForgetChannels);
  for (const FoundChannel& channel : found.channels) {
    const auto digest = from_hex(channel.manifest_sha256);
    tx.query(kInsertChannel, {channel.product, channel.channel, channel.version,
                              digest ? *digest : Bytes(), channel.min_epoch, channel.history, now});
  }
  report.unlisted = tx.query(kUnlisted)[0].integer("n");
  return report;
}

}  // namespace rap::cp
