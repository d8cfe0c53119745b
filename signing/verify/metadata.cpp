#include "signing/verify/metadata.hpp"

#include <boost/json.hpp>

#include "base/json.hpp"
#include "signing/verify/canonical_json.hpp"
#include "signing/verify/metadata_fields.hpp"

namespace rap::tuf {
namespace {

namespace json = boost::json;

// Opens the envelope, lets `read` fill the role from "signed" and pairs it with the proof.
template <typename Role, typename Read>
Result<Document<Role>> parse(ByteView bytes, std::string_view type, Read read) {
  auto value = parse_document(bytes);
  if (!value) return fail(value.error(), type);
  auto proof = read_envelope(*value, type);
  if (!proof) return fail(proof.error(), type);
  const json::object& body = value->get_object().at("signed").get_object();
  Document<Role> document;
  if (auto status = read_common(body, document.role); !status) {
    return fail(status.error(), type);
  }
  if (Status status = read(body, document.role); !status) {
    return fail(status.error(), type);
  }
  document.proof = std::move(*proof);
  return document;
}

Status read_root(const json::object& object, Root& root) {
  if (const json::value* flag = object.if_contains("consistent_snapshot")) {
    if (!flag->is_bool()) return fail(Errc::malformed, "consistent_snapshot: want a boolean");
    root.consistent_snapshot = flag->get_bool();
  }
  auto keys = json_object(object, "keys");
  auto roles = json_object(object, "roles");
  if (!keys || !roles) return fail(Errc::malformed, "want keys and roles");
  auto ring = read_keys(**keys);
  if (!ring) return fail(std::move(ring.error()));
  root.keys = std::move(*ring);
  for (const auto& [name, value] : **roles) {
    if (!value.is_object()) return fail(Errc::malformed, "roles: want objects");
    auto role = read_role_keys(value.get_object());
    if (!role) return fail(role.error(), "role " + std::string(name));
    root.roles.emplace(std::string(name), std::move(*role));
  }
  if (object.contains("cluster_id")) {
    auto cluster = json_string(object, "cluster_id");
    if (!cluster) return fail(Errc::malformed, "cluster_id: want a string");
    root.cluster_id = std::move(*cluster);
  }
  for (const char* name : {"root", "timestamp", "snapshot", "targets"}) {
    if (!root.roles.contains(name)) {
      return fail(Errc::malformed, "roles: " + std::string(name) + " is missing");
    }
  }
  return {};
}

Status read_timestamp(const json::object& object, Timestamp& timestamp) {
  auto meta = json_object(object, "meta");
  if (!meta) return fail(Errc::malformed, "meta: want an object");
  auto snapshot = json_object(**meta, "snapshot.json");
  if (!snapshot) return fail(Errc::malformed, "meta: want snapshot.json");
  auto file = read_meta_file(**snapshot);
  if (!file) return fail(file.error(), "meta");
  timestamp.snapshot = std::move(*file);
  if (auto issued = json_string_or_none(object, "issued")) {
    auto time = from_rfc3339(*issued);
    if (!time) return fail(time.error(), "issued");
    timestamp.issued = *time;
  }
  return {};
}

Status read_snapshot(const json::object& object, Snapshot& snapshot) {
  auto meta = json_object(object, "meta");
  if (!meta) return fail(Errc::malformed, "meta: want an object");
  for (const auto& [name, value] : **meta) {
    if (!value.is_object()) return fail(Errc::malformed, "meta: want objects");
    auto file = read_meta_file(value.get_object());
    if (!file) return fail(file.error(), "meta " + std::string(name));
    snapshot.meta.emplace(std::string(name), std::move(*file));
  }
  return {};
}

Result<TargetInfo> read_target(const json::object& object) {
  TargetInfo info;
  auto length = integer_field(object, "length", 0);
  if (!length) return fail(std::move(length.error()));
  info.length = *length;
  auto member = json_object(object, "hashes");
  if (!member) return fail(Errc::malformed, "hashes: want an object");
  auto hashes = read_hashes(**member);
  if (!hashes) return fail(std::move(hashes.error()));
  info.hashes = std::move(*hashes);
  info.custom = "{}";
  if (const json::value* custom = object.if_contains("custom")) {
    if (!custom->is_object()) return fail(Errc::malformed, "custom: want an object");
    auto text = canonical_json(*custom);
    if (!text) return fail(std::move(text.error()));
    info.custom = std::move(*text);
  }
  return info;
}

Status read_targets(const json::object& object, std::string_view role, Targets& targets) {
  auto members = json_object(object, "targets");
  if (!members) return fail(Errc::malformed, "targets: want an object");
  for (const auto& [path, value] : **members) {
    if (!value.is_object()) return fail(Errc::malformed, "targets: want objects");
    auto info = read_target(value.get_object());
    if (!info) return fail(info.error(), "target " + std::string(path));
    info->path = std::string(path);
    info->role = std::string(role);
    targets.targets.emplace(info->path, std::move(*info));
  }
  if (!object.contains("delegations")) return {};
  auto member = json_object(object, "delegations");
  if (!member) return fail(Errc::malformed, "delegations: want an object");
  auto delegations = read_delegations(**member);
  if (!delegations) return fail(delegations.error(), "delegations");
  targets.delegations = std::move(*delegations);
  return {};
}

}  // namespace

Result<Document<Root>> parse_root(ByteView bytes) {
  return parse<Root>(bytes, "root", read_root);
}

Result<Document<Timestamp>> parse_timestamp(ByteView bytes) {
  return parse<Timestamp>(bytes, "timestamp", read_timestamp);
}

Result<Document<Snapshot>> parse_snapshot(ByteView bytes) {
  return parse<Snapshot>(bytes, "snapshot", read_snapshot);
}

Result<Document<Targets>> parse_targets(ByteView bytes, std::string_view role) {
  return parse<Targets>(bytes, "targets", [role](const json::object& object, Targets& targets) {
    return read_targets(object, role, targets);
  });
}

const std::string& Hashes::prefix() const {
  static const std::string none;
  if (const auto found = known.find("sha256"); found != known.end()) return found->second;
  if (const auto found = known.find("sha512"); found != known.end()) return found->second;
  return none;
}

std::string TargetInfo::sha256() const {
  const auto found = hashes.known.find("sha256");
  return found == hashes.known.end() ? std::string() : found->second;
}

}  // namespace rap::tuf
