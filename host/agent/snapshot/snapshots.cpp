#include "host/agent/snapshot/snapshots.hpp"

#include <algorithm>
#include <set>

#include <boost/json.hpp>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/json.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;

// Deeper than the options of any resource, whose own limit is looked at one by one.
constexpr JsonLimits kLimits{.bytes_max = kSnapshotBytesMax, .depth_max = 40};

// Reads members of one object and remembers the first thing that was wrong.
class Reader {
 public:
  explicit Reader(const json::object& object, std::string where)
      : object_(object), where_(std::move(where)) {}

  std::string text(std::string_view key, std::size_t most) {
    auto value = json_string(object_, key);
    if (!value) return wrong(value.error().detail), "";
    if (value->size() > most) return wrong(std::string(key) + ": too long"), "";
    return std::move(*value);
  }
  // Absent and null both mean "none".
  std::string text_or_empty(std::string_view key, std::size_t most) {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr || value->is_null()) return "";
    return text(key, most);
  }
  template <typename IdType>
  std::string id(std::string_view key) {
    std::string value = text(key, 64);
    if (error_.empty() && !IdType::parse(value)) wrong(std::string(key) + ": not an id");
    return value;
  }
  template <typename IdType>
  std::string id_or_empty(std::string_view key) {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr || value->is_null()) return "";
    return id<IdType>(key);
  }
  std::int64_t number(std::string_view key, std::int64_t least, std::int64_t most) {
    auto value = json_int(object_, key);
    if (!value) return wrong(value.error().detail), 0;
    if (*value < least || *value > most) wrong(std::string(key) + ": out of range");
    return *value;
  }
  std::string object_text(std::string_view key) {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr) return "{}";
    if (!value->is_object()) return wrong(std::string(key) + ": want an object"), "{}";
    std::string out = json::serialize(*value);
    if (!parse_json(out, kOptionsLimits)) wrong(std::string(key) + ": too large or too deep");
    return out;
  }
  void wrong(const std::string& what) {
    if (error_.empty()) error_ = where_ + what;
  }
  Status done() const {
    if (error_.empty()) return {};
    return fail(Errc::invalid, error_);
  }

 private:
  const json::object& object_;
  std::string where_;
  std::string error_;
};

Result<json::object> parse_document(std::string_view text) {
  auto value = parse_json(text, kLimits);
  if (!value) return fail(std::move(value.error()));
  if (!value->is_object()) return fail(Errc::malformed, "want an object");
  const auto format = json_int(value->get_object(), "format");
  if (!format || *format != 1) {
    return fail(Errc::unsupported, "format: this agent reads format 1");
  }
  return std::move(value->get_object());
}

Result<const json::array*> array_of(const json::object& object, std::string_view key,
                                    std::size_t most) {
  auto array = json_array(object, key);
  if (!array) return array;
  if ((*array)->size() > most) {
    return fail(Errc::too_large, std::string(key) + ": more than " + std::to_string(most));
  }
  return array;
}

bool is_role_name(std::string_view text) {
  return !text.empty() && text.size() <= 40 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

// Becomes part of target paths: no separators, no dot-dot.
// A sentence with a product, a version and a channel in it.
constexpr std::size_t kReasonMax = 512;

bool is_path_word(std::string_view text) {
  return text != "." && text != ".." && text.find("..") == text.npos &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '.' || c == '_' || c == '+';
         });
}

bool is_hex_key(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

Result<Membership> parse_membership(std::string_view text) {
  auto document = parse_document(text);
  if (!document) return fail(document.error(), "membership");
  Reader reader(*document, "membership: ");
  Membership out;
  out.cluster_id = reader.id<ClusterId>("cluster_id");
  out.node_id = reader.id<NodeId>("node_id");
  out.node_name = reader.text("node_name", kNodeNameMax);
  const std::string status = reader.text("status", 16);
  if (status == "active") {
    out.status = NodeStatus::active;
  } else if (status == "disabled") {
    out.status = NodeStatus::disabled;
  } else if (status == "revoked") {
    out.status = NodeStatus::revoked;
  } else {
    reader.wrong("status: unknown value");
  }
  out.authority_term = reader.number("authority_term", 0, std::int64_t{1} << 53);
  out.cluster_ca_pem = reader.text("cluster_ca_pem", 64 * 1024);
  const auto issued = from_rfc3339(reader.text("issued_at", 40));
  if (issued) {
    out.issued_at_unix_s = to_unix_seconds(*issued);
  } else {
    reader.wrong("issued_at: not a time");
  }
  if (Status good = reader.done(); !good) return fail(std::move(good.error()));
  return out;
}

Result<std::vector<RoleAssignment>> parse_roles(std::string_view text) {
  auto document = parse_document(text);
  if (!document) return fail(document.error(), "roles");
  auto list = array_of(*document, "assignments", kAssignmentsMax);
  if (!list) return fail(list.error(), "roles");
  std::vector<RoleAssignment> out;
  std::set<std::string> seen;
  for (const json::value& item : **list) {
    const std::string where = "roles: assignment " + std::to_string(out.size()) + ": ";
    if (!item.is_object()) return fail(Errc::invalid, where + "want an object");
    Reader reader(item.get_object(), where);
    RoleAssignment entry;
    entry.assignment_id = reader.id<RoleAssignmentId>("assignment_id");
    entry.role = reader.text("role", 40);
    if (!is_role_name(entry.role)) reader.wrong("role: not a role name");
    entry.organization_id = reader.id_or_empty<OrganizationId>("organization_id");
    entry.product = reader.text_or_empty("product", 128);
    entry.version = reader.text_or_empty("version", 64);
    if (entry.product.empty() != entry.version.empty()) {
      reader.wrong("product and version: both or neither");
    }
    if (!is_path_word(entry.product) || !is_path_word(entry.version)) {
      reader.wrong("product or version: forbidden characters");
    }
    entry.config_json = reader.object_text("config");
    entry.reason = reader.text_or_empty("reason", kReasonMax);
    if (Status good = reader.done(); !good) return fail(std::move(good.error()));
    if (!seen.insert(entry.assignment_id).second) {
      return fail(Errc::invalid, where + "assignment_id repeats");
    }
    out.push_back(std::move(entry));
  }
  return out;
}

namespace {

Result<Resource> parse_resource(const json::value& item) {
  if (!item.is_object()) return fail(Errc::invalid, "want an object");
  Reader reader(item.get_object(), "");
  Resource entry;
  entry.resource_id = reader.id<ResourceId>("resource_id");
  entry.organization_id = reader.id<OrganizationId>("organization_id");
  entry.name = reader.text("name", 128);
  entry.protocol = reader.text("protocol", 40);
  entry.role = reader.text("role", 40);
  if (!is_role_name(entry.role)) reader.wrong("role: not a role name");
  entry.secret_ref = reader.id_or_empty<SecretRefId>("secret_ref");
  entry.options_json = reader.object_text("options");
  auto target = json_object(item.get_object(), "target");
  if (!target) return fail(Errc::invalid, target.error().detail);
  Reader target_reader(**target, "target: ");
  entry.host = target_reader.text("host", 253);
  if (entry.host.empty()) target_reader.wrong("host: empty");
  entry.port = static_cast<std::uint16_t>(target_reader.number("port", 1, 65535));
  if (Status good = reader.done(); !good) return fail(std::move(good.error()));
  if (Status good = target_reader.done(); !good) return fail(std::move(good.error()));
  return entry;
}

}  // namespace

Result<Access> parse_access(std::string_view text) {
  auto document = parse_document(text);
  if (!document) return fail(document.error(), "access");
  auto keys = array_of(*document, "lease_keys", kLeaseKeysMax);
  if (!keys) return fail(keys.error(), "access");
  Access out;
  for (const json::value& item : **keys) {
    const std::string where = "access: lease key " + std::to_string(out.lease_keys.size()) + ": ";
    if (!item.is_object()) return fail(Errc::invalid, where + "want an object");
    Reader reader(item.get_object(), where);
    LeaseKey key;
    key.kid = reader.text("kid", 64);
    key.public_hex = reader.text("public", 64);
    if (key.kid.empty()) reader.wrong("kid: empty");
    if (!is_hex_key(key.public_hex)) reader.wrong("public: want 64 lower-case hex digits");
    if (Status good = reader.done(); !good) return fail(std::move(good.error()));
    out.lease_keys.push_back(std::move(key));
  }

  auto resources = array_of(*document, "resources", kResourcesMax);
  if (!resources) return fail(resources.error(), "access");
  for (const json::value& item : **resources) {
    auto entry = parse_resource(item);
    Status taken;
    if (!entry) {
      taken = fail(std::move(entry.error()));
    } else if (std::string key = entry->resource_id;
               !out.resources.emplace(std::move(key), std::move(*entry)).second) {
      taken = fail(Errc::invalid, "resource_id repeats");
    }
    if (!taken && out.left_out++ == 0) {
      const auto id =
          item.is_object() ? json_string_or_none(item.get_object(), "resource_id") : std::nullopt;
      const auto known = ResourceId::parse(id.value_or(""));
      out.left_out_why = (known ? known->str() : "one without an id") + ": " + taken.error().detail;
    }
  }
  return out;
}

Status check_peer_directory(std::string_view text, std::string_view cluster_id,
                            std::string_view node_id) {
  auto value = parse_json(text, {.bytes_max = kSnapshotBytesMax, .depth_max = 8});
  if (!value) return fail(value.error(), "peer directory");
  const json::object* object = value->if_object();
  if (object == nullptr) return fail(Errc::malformed, "peer directory: want an object");
  if (json_string_or_none(*object, "cluster_id") != cluster_id ||
      json_string_or_none(*object, "node_id") != node_id) {
    return fail(Errc::forbidden, "the peer directory is another node's");
  }
  return {};
}

}  // namespace rap::agent
