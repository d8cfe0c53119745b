#include "signing/sign/director.hpp"

#include <algorithm>
#include <cassert>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "signing/sign/draft.hpp"
#include "signing/verify/metadata.hpp"

namespace rap::sign {
namespace {

namespace json = boost::json;

// Above the last one, and above every one that was given out before a database was restored.
std::int64_t next_version(std::int64_t previous, SystemTime now) {
  return std::max(previous + 1, to_unix_seconds(now));
}

std::string file_name(std::int64_t version, std::string_view role) {
  return std::to_string(version) + "." + std::string(role) + ".json";
}

Result<json::object> target_object(const DirectorTarget& target) {
  if (auto status = tuf::check_target_path(target.path); !status) {
    return fail(std::move(status.error()));
  }
  const auto digest = from_hex(target.sha256);
  if (!digest || digest->size() != 32 || to_hex(*digest) != target.sha256 || target.length < 0) {
    return fail(Errc::invalid, target.path + ": want a length and a lower-case SHA-256");
  }
  auto custom = parse_json(target.custom);
  if (!custom || !custom->is_object()) {
    return fail(Errc::invalid, target.path + ": custom: want a JSON object");
  }
  json::object object;
  object["length"] = target.length;
  object["hashes"] = json::object{{"sha256", target.sha256}};
  object["custom"] = std::move(*custom);
  return object;
}

Result<json::object> targets_body(const std::vector<DirectorTarget>& targets, std::int64_t version,
                                  SystemTime expires) {
  json::object members;
  for (const DirectorTarget& target : targets) {
    auto object = target_object(target);
    if (!object) return fail(std::move(object.error()));
    if (!members.emplace(target.path, std::move(*object)).second) {
      return fail(Errc::invalid, target.path + ": listed twice");
    }
  }
  json::object body = new_body("targets", version, expires);
  body["targets"] = std::move(members);
  return body;
}

json::object body_with_meta(std::string_view type, std::int64_t version, SystemTime expires,
                            std::string_view file_role, json::object meta) {
  json::object body = new_body(type, version, expires);
  json::object list;
  const std::string name = std::string(file_role) + ".json";
  list[name] = std::move(meta);
  body["meta"] = std::move(list);
  return body;
}

}  // namespace

Result<std::string> make_root(const ClusterId& cluster,
                              const std::vector<const Ed25519Key*>& root_keys,
                              std::int64_t threshold, const DirectorKeys& keys,
                              SystemTime expires) {
  json::object body = new_body("root", 1, expires);
  body["cluster_id"] = cluster.str();
  body["consistent_snapshot"] = true;
  json::object key_objects;
  json::object roles;
  const auto add_role = [&](const char* name, const std::vector<const Ed25519Key*>& signers,
                            std::int64_t needed) -> Status {
    std::vector<tuf::PublicKey> public_keys;
    for (const Ed25519Key* key : signers) {
      if (key == nullptr) return fail(Errc::invalid, std::string(name) + ": no key");
      public_keys.push_back(key->public_key());
      key_objects[public_keys.back().id()] = public_keys.back().to_json();
    }
    auto role = role_object(public_keys, needed);
    if (!role) return fail(role.error(), name);
    roles[name] = std::move(*role);
    return {};
  };
  if (auto status = add_role("root", root_keys, threshold); !status) {
    return fail(std::move(status.error()));
  }
  const std::pair<const char*, const Ed25519Key*> online[] = {
      {"targets", keys.targets}, {"snapshot", keys.snapshot}, {"timestamp", keys.timestamp}};
  for (const auto& [name, key] : online) {
    if (auto status = add_role(name, {key}, 1); !status) return fail(std::move(status.error()));
  }
  body["keys"] = std::move(key_objects);
  body["roles"] = std::move(roles);
  return sign_file(std::move(body), root_keys);
}

DirectorSigner::DirectorSigner(DirectorKeys keys, DirectorLifetimes lifetimes)
    : keys_(keys), lifetimes_(lifetimes) {
  assert(keys.targets != nullptr && keys.snapshot != nullptr && keys.timestamp != nullptr);
}

Result<DirectorMetadata> DirectorSigner::sign(const std::vector<DirectorTarget>& targets,
                                              const DirectorVersions& previous,
                                              SystemTime now) const {
  DirectorMetadata out;
  out.versions.targets = next_version(previous.targets, now);
  out.versions.snapshot = next_version(previous.snapshot, now);

  auto body = targets_body(targets, out.versions.targets, now + lifetimes_.targets);
  if (!body) return fail(std::move(body.error()));
  auto targets_file = sign_file(std::move(*body), {keys_.targets});
  if (!targets_file) return fail(std::move(targets_file.error()));

  auto snapshot_file =
      sign_file(body_with_meta("snapshot", out.versions.snapshot, now + lifetimes_.snapshot,
                               "targets", meta_object(out.versions.targets, *targets_file)),
                {keys_.snapshot});
  if (!snapshot_file) return fail(std::move(snapshot_file.error()));

  out.files[file_name(out.versions.targets, "targets")] = std::move(*targets_file);
  out.files[file_name(out.versions.snapshot, "snapshot")] = std::move(*snapshot_file);
  out.versions.timestamp = previous.timestamp;
  return with_timestamp(std::move(out), now);
}

Result<DirectorMetadata> DirectorSigner::refresh_timestamp(const DirectorMetadata& previous,
                                                           SystemTime now) const {
  const auto targets = previous.files.find(file_name(previous.versions.targets, "targets"));
  const auto snapshot = previous.files.find(file_name(previous.versions.snapshot, "snapshot"));
  if (targets == previous.files.end() || snapshot == previous.files.end()) {
    return fail(Errc::invalid, "the previous set is not complete");
  }
  auto parsed_targets = tuf::parse_targets(as_bytes(targets->second));
  auto parsed_snapshot = tuf::parse_snapshot(as_bytes(snapshot->second));
  if (!parsed_targets || !parsed_snapshot)
    return fail(Errc::invalid, "the previous set is damaged");
  if (std::min(parsed_targets->role.expires, parsed_snapshot->role.expires) <
      now + lifetimes_.timestamp) {
    return fail(Errc::expired, "targets or snapshot end before the new timestamp would");
  }
  DirectorMetadata out = previous;
  return with_timestamp(std::move(out), now);
}

Result<DirectorMetadata> DirectorSigner::with_timestamp(DirectorMetadata set,
                                                        SystemTime now) const {
  const std::int64_t version = next_version(set.versions.timestamp, now);
  const std::string& snapshot = set.files.at(file_name(set.versions.snapshot, "snapshot"));
  json::object body = body_with_meta("timestamp", version, now + lifetimes_.timestamp, "snapshot",
                                     meta_object(set.versions.snapshot, snapshot));
  body["issued"] = to_rfc3339(now);
  auto file = sign_file(std::move(body), {keys_.timestamp});
  if (!file) return fail(std::move(file.error()));
  set.versions.timestamp = version;
  set.files["timestamp.json"] = std::move(*file);
  return set;
}

std::string consistent_target_name(std::string_view path, std::string_view sha256) {
  const std::size_t slash = path.rfind('/');
  const std::size_t name = slash == std::string_view::npos ? 0 : slash + 1;
  return std::string(path.substr(0, name)) + std::string(sha256) + "." +
         std::string(path.substr(name));
}

}  // namespace rap::sign
