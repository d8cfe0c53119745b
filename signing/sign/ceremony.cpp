#include "signing/sign/ceremony.hpp"

#include <algorithm>
#include <set>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "signing/verify/countersignature.hpp"

namespace rap::sign {
namespace {

namespace json = boost::json;

bool is_top_level(const std::string& role) {
  return role == "root" || role == "targets" || role == "snapshot" || role == "timestamp";
}

bool has_metadata(const std::string& role) {
  return role != tuf::kTrustRole;
}

// Segments of plain characters and `*`.
bool is_plain_pattern(const std::string& pattern) {
  std::string plain = pattern;
  std::replace(plain.begin(), plain.end(), '*', 'x');
  std::replace(plain.begin(), plain.end(), '/', 'x');
  return is_plain_name(plain) && tuf::check_target_path(pattern).has_value();
}

// Replaces keyids and threshold, keeping every other member of the role.
Status set_keys(json::object& role, const std::vector<tuf::PublicKey>& keys,
                std::int64_t threshold) {
  auto object = role_object(keys, threshold);
  if (!object) return fail(std::move(object.error()));
  role["keyids"] = (*object)["keyids"];
  role["threshold"] = (*object)["threshold"];
  return {};
}

// Keys that no role of the list names any more go; the others' objects are added.
void sync_keys(json::object& keys, const std::vector<const json::object*>& roles,
               const std::vector<tuf::PublicKey>& added) {
  for (const tuf::PublicKey& key : added) keys[key.id()] = key.to_json();
  std::set<std::string> used;
  for (const json::object* role : roles) {
    for (const json::value& id : role->at("keyids").as_array()) {
      used.insert(std::string(id.as_string()));
    }
  }
  std::vector<std::string> unused;
  for (const auto& [id, key] : keys) {
    if (!used.contains(std::string(id))) unused.emplace_back(id);
  }
  for (const std::string& id : unused) keys.erase(id);
}

void sync_root(json::object& root, const std::vector<tuf::PublicKey>& added) {
  std::vector<const json::object*> roles;
  for (const auto& [name, role] : root["roles"].as_object()) roles.push_back(&role.as_object());
  sync_keys(root["keys"].as_object(), roles, added);
}

void sync_delegations(json::object& delegations, const std::vector<tuf::PublicKey>& added) {
  std::vector<const json::object*> roles;
  for (const json::value& role : delegations["roles"].as_array()) {
    roles.push_back(&role.as_object());
  }
  sync_keys(delegations["keys"].as_object(), roles, added);
}

json::object& delegations_of(json::object& targets) {
  if (!targets.contains("delegations")) {
    targets["delegations"] = {{"keys", json::object{}}, {"roles", json::array{}}};
  }
  return targets["delegations"].as_object();
}

json::object* find_delegation(json::object& delegations, const std::string& name) {
  for (json::value& role : delegations["roles"].as_array()) {
    if (role.as_object().at("name") == json::value(name)) return &role.as_object();
  }
  return nullptr;
}

}  // namespace

Status begin_repository(Change& change, const ReleaseRepository& repository,
                        const std::vector<RoleSpec>& top_level) {
  if (repository.is_initialised()) {
    return fail(Errc::conflict, repository.directory().string() + ": already has a root");
  }
  json::object& root = change.edit("root");
  root["consistent_snapshot"] = true;
  root["keys"] = json::object{};
  root["roles"] = json::object{};
  std::vector<tuf::PublicKey> all;
  for (const RoleSpec& spec : top_level) {
    auto role = role_object(spec.keys, spec.threshold);
    if (!role) return fail(role.error(), spec.name);
    root["roles"].as_object()[spec.name] = std::move(*role);
    all.insert(all.end(), spec.keys.begin(), spec.keys.end());
  }
  sync_root(root, all);
  delegations_of(change.edit("targets"));
  return {};
}

Status delegate_role(Change& change, const RoleSpec& role) {
  if (!is_plain_name(role.name) || is_top_level(role.name)) {
    return fail(Errc::invalid, "role name: " + role.name);
  }
  if (role.paths.empty()) return fail(Errc::invalid, role.name + ": no path");
  for (const std::string& path : role.paths) {
    if (!is_plain_pattern(path)) return fail(Errc::invalid, role.name + ": path " + path);
  }
  if (role.name == tuf::kTrustRole && role.paths != std::vector{std::string(tuf::kTrustPath)}) {
    return fail(Errc::invalid,
                "trust: lists no target; its path is " + std::string(tuf::kTrustPath));
  }
  json::object& delegations = delegations_of(change.edit("targets"));
  json::array paths;
  for (const std::string& path : role.paths) paths.push_back(json::value(path));
  for (const json::value& other : delegations["roles"].as_array()) {
    if (other.as_object().at("name") == json::value(role.name)) continue;
    for (const json::value& path : other.as_object().at("paths").as_array()) {
      if (std::find(paths.begin(), paths.end(), path) != paths.end()) {
        return fail(Errc::conflict, "another role has the path " + std::string(path.as_string()));
      }
    }
  }
  json::object* entry = find_delegation(delegations, role.name);
  if (entry == nullptr) {
    json::array& roles = delegations["roles"].as_array();
    roles.push_back(json::object{{"name", role.name}});
    entry = &roles.back().as_object();
  }
  (*entry)["paths"] = std::move(paths);
  (*entry)["terminating"] = true;
  if (auto status = set_keys(*entry, role.keys, role.threshold); !status) return status;
  sync_delegations(delegations, role.keys);
  if (has_metadata(role.name)) change.edit(role.name);
  return {};
}

Result<tuf::RoleKeys> keys_of_role(const ReleaseRepository& repository, const std::string& role) {
  if (repository.root() && is_top_level(role)) return repository.root()->roles.at(role);
  if (repository.targets() && repository.targets()->delegations) {
    for (const tuf::DelegatedRole& delegated : repository.targets()->delegations->roles) {
      if (delegated.name == role) return delegated.keys;
    }
  }
  return fail(Errc::not_found, "there is no role " + role);
}

Status rotate_keys(Change& change, const ReleaseRepository& repository, const std::string& role,
                   const KeyChange& keys) {
  auto present = keys_of_role(repository, role);
  if (!present) return fail(std::move(present.error()));
  const tuf::KeyRing& ring =
      is_top_level(role) ? repository.root()->keys : repository.targets()->delegations->keys;
  std::vector<tuf::PublicKey> next;
  for (const std::string& id : present->key_ids) {
    const bool gone = std::find(keys.remove.begin(), keys.remove.end(), id) != keys.remove.end();
    const auto key = ring.find(id);
    if (!gone && key != ring.end()) next.push_back(key->second);
  }
  for (const std::string& id : keys.remove) {
    if (std::find(present->key_ids.begin(), present->key_ids.end(), id) == present->key_ids.end()) {
      return fail(Errc::not_found, role + " has no key " + id);
    }
  }
  for (const tuf::PublicKey& key : keys.add) {
    if (std::any_of(next.begin(), next.end(), [&](const auto& k) { return k.id() == key.id(); })) {
      return fail(Errc::conflict, role + " already has key " + key.id());
    }
    next.push_back(key);
  }
  const std::int64_t threshold = keys.threshold.value_or(present->threshold);

  if (is_top_level(role)) {
    json::object& root = change.edit("root");
    json::object& entry = root["roles"].as_object()[role].as_object();
    if (auto status = set_keys(entry, next, threshold); !status) return status;
    sync_root(root, keys.add);
    if (role == "targets") change.edit("targets");
    return {};
  }
  json::object& delegations = delegations_of(change.edit("targets"));
  json::object* entry = find_delegation(delegations, role);
  if (entry == nullptr) return fail(Errc::not_found, "there is no role " + role);
  if (auto status = set_keys(*entry, next, threshold); !status) return status;
  sync_delegations(delegations, keys.add);
  if (has_metadata(role)) change.edit(role);
  return {};
}

}  // namespace rap::sign
