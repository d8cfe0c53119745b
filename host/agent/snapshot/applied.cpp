#include "host/agent/snapshot/applied.hpp"

#include <boost/json.hpp>

#include "base/bytes.hpp"
#include "base/crypto.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/log.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;

namespace fs = std::filesystem;

constexpr std::size_t kAppliedBytesMax = 64u << 20;  // three snapshots and a few manifests

bool is_hash(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

}  // namespace

ReleaseResult release_from_manifest(std::string manifest_text, const ListedTarget& listed) {
  auto manifest = loader::parse_plugin_manifest(manifest_text);
  if (!manifest) return fail(manifest.error(), listed.path);
  if (manifest->product != listed.product || manifest->version != listed.version ||
      manifest->release_seq != listed.release_seq ||
      manifest->security_epoch != listed.security_epoch) {
    return fail(Errc::mismatch, listed.path + ": says another release than its listing");
  }
  auto variant = loader::variant_for_this_machine(*manifest);
  if (!variant) return fail(variant.error(), listed.path);
  Release out;
  out.artifact_sha256 = to_hex(variant->sha256);
  out.artifact_length = variant->length;
  out.manifest = std::move(*manifest);
  out.manifest_text = std::move(manifest_text);
  return out;
}

const std::string& version_in_force(const Applied& applied, const RoleAssignment& role) {
  const auto found = applied.instead.find(role.assignment_id);
  return found == applied.instead.end() ? role.version : found->second;
}

std::string serialize(const Applied& applied) {
  json::array releases;
  for (const auto& [key, release] : applied.releases) {
    json::object entry{{"product", key.first}, {"version", key.second}};
    if (release) {
      entry["manifest"] = release->manifest_text;
      entry["release_seq"] = release->manifest.release_seq;
      entry["security_epoch"] = release->manifest.security_epoch;
    } else {
      entry["code"] = name(release.error().code);
      entry["detail"] = release.error().detail;
    }
    releases.push_back(std::move(entry));
  }
  json::object instead;
  for (const auto& [assignment, version] : applied.instead) instead[assignment] = version;
  return json::serialize(json::object{{"format", 1},
                                      {"director_version", applied.director_version},
                                      {"director_expires", to_rfc3339(applied.director_expires)},
                                      {"release_expires", to_rfc3339(applied.release_expires)},
                                      {"membership", applied.membership_text},
                                      {"roles", applied.roles_text},
                                      {"access", applied.access_text},
                                      {"releases", std::move(releases)},
                                      {"instead", std::move(instead)},
                                      {"directory_sha256", applied.directory_sha256}}) +
         "\n";
}

Result<Applied> parse_applied(std::string_view text, const NodeScope& scope) {
  auto value = parse_json(text, {.bytes_max = kAppliedBytesMax, .depth_max = 8});
  if (!value) return fail(std::move(value.error()));
  if (!value->is_object()) return fail(Errc::malformed, "want an object");
  const json::object& object = value->get_object();
  Applied out;
  for (const auto& [key, into] :
       {std::pair{"membership", &out.membership_text}, std::pair{"roles", &out.roles_text},
        std::pair{"access", &out.access_text}}) {
    auto part = json_string(object, key);
    if (!part) return fail(std::move(part.error()));
    *into = std::move(*part);
  }
  auto version = json_int(object, "director_version");
  if (!version) return fail(std::move(version.error()));
  out.director_version = *version;
  for (const auto& [key, into] : {std::pair{"director_expires", &out.director_expires},
                                  std::pair{"release_expires", &out.release_expires}}) {
    auto time = from_rfc3339(json_string_or_none(object, key).value_or(""));
    if (!time) return fail(time.error(), key);
    *into = *time;
  }

  auto membership = parse_membership(out.membership_text);
  if (!membership) return fail(std::move(membership.error()));
  if (membership->cluster_id != scope.cluster_id || membership->node_id != scope.node_id) {
    return fail(Errc::forbidden, "the snapshots are another node's");
  }
  if (membership->authority_term < scope.authority_term_floor) {
    return fail(Errc::rollback, "the snapshots are of an outdated authority");
  }
  auto roles = parse_roles(out.roles_text);
  if (!roles) return fail(std::move(roles.error()));
  auto access = parse_access(out.access_text);
  if (!access) return fail(std::move(access.error()));
  out.membership = std::move(*membership);
  out.roles = std::move(*roles);
  out.access = std::move(*access);

  auto releases = json_array(object, "releases");
  if (!releases) return fail(std::move(releases.error()));
  for (const json::value& item : **releases) {
    if (!item.is_object()) return fail(Errc::malformed, "releases: want objects");
    const json::object& entry = item.get_object();
    ListedTarget listed;
    listed.product = json_string_or_none(entry, "product").value_or("");
    listed.version = json_string_or_none(entry, "version").value_or("");
    listed.path = manifest_path(listed.product, listed.version);
    const ReleaseKey key{listed.product, listed.version};
    auto manifest = json_string_or_none(entry, "manifest");
    if (manifest) {
      listed.release_seq = json_int_or_none(entry, "release_seq").value_or(-1);
      listed.security_epoch = json_int_or_none(entry, "security_epoch").value_or(-1);
      out.releases.emplace(key, release_from_manifest(std::move(*manifest), listed));
    } else {
      const Error error{errc_from_name(json_string_or_none(entry, "code").value_or("")),
                        json_string_or_none(entry, "detail").value_or("")};
      out.releases.emplace(key, fail(error));
    }
  }
  // Absent from a file of an earlier agent.
  if (auto instead = json_object(object, "instead")) {
    for (const auto& entry : **instead) {
      if (!entry.value().is_string()) return fail(Errc::malformed, "instead: want versions");
      out.instead[std::string(entry.key())] = std::string(entry.value().get_string());
    }
  }
  // The same. It becomes a file name.
  out.directory_sha256 = json_string_or_none(object, "directory_sha256").value_or("");
  if (!out.directory_sha256.empty() && !is_hash(out.directory_sha256)) {
    return fail(Errc::malformed, "directory_sha256");
  }
  return out;
}

Status write_applied(const StateLayout& state, const Applied& applied) {
  const fs::path folder = state.directories();
  const fs::path file = folder / applied.directory_sha256;
  std::error_code ec;
  if (applied.directory != nullptr && fs::file_size(file, ec) != applied.directory->size()) {
    fs::create_directories(folder, ec);
    Status kept = write_file_atomic(file, *applied.directory, 0600);
    if (!kept) return kept;
  }
  Status written = write_file_atomic(state.applied(), serialize(applied), 0600);
  if (!written) return written;
  std::vector<fs::path> others;
  for (const auto& entry : fs::directory_iterator(folder, ec)) {
    if (entry.path().filename() != applied.directory_sha256) others.push_back(entry.path());
  }
  for (const fs::path& path : others) fs::remove(path, ec);
  return {};
}

Result<Applied> read_applied(const StateLayout& state, const NodeScope& scope) {
  auto text = read_text_file(state.applied(), kAppliedBytesMax);
  if (!text) return fail(std::move(text.error()));
  auto applied = parse_applied(*text, scope);
  if (!applied) return fail(applied.error(), state.applied().string());
  if (applied->directory_sha256.empty()) return applied;
  const fs::path file = state.directories() / applied->directory_sha256;
  auto directory = read_text_file(file, kSnapshotBytesMax);
  if (directory && to_hex(sha256(*directory)) == applied->directory_sha256) {
    applied->directory = std::make_shared<const std::string>(*std::move(directory));
    return applied;
  }
  log::warn("stored peer directory is not used",
            {{"detail", directory ? "its bytes changed" : directory.error().text()}});
  std::error_code ec;
  fs::remove(file, ec);  // it is fetched again
  applied->directory_sha256.clear();
  return applied;
}

}  // namespace rap::agent
