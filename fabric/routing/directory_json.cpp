#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include <boost/json.hpp>

#include "base/bytes.hpp"
#include "base/id.hpp"
#include "base/json.hpp"
#include "fabric/routing/directory_doc.hpp"
#include "fabric/routing/json_reader.hpp"
#include "fabric/routing/policy_json.hpp"

namespace rap::routing {

namespace {

namespace json = boost::json;

constexpr JsonLimits kLimits{.bytes_max = kDirectoryBytesMax, .depth_max = 8};
constexpr std::int64_t kVersionMax = std::int64_t{1} << 53;  // what every JSON reader holds exactly
constexpr std::size_t kIdChars = 64;

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameCharsMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '.' || c == '_' || c == '+';
         });
}

bool is_host(std::string_view text) {
  return !text.empty() && text.front() != '-' && text.front() != '.' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
         });
}

std::string name_member(JsonReader& reader, std::string_view key) {
  std::string out = reader.text(key, kNameCharsMax);
  if (reader.ok() && !is_name(out)) reader.wrong(Errc::invalid, key, "not a name");
  return out;
}

template <typename IdType>
std::string id_member(JsonReader& reader, std::string_view key) {
  std::string out = reader.text(key, kIdChars);
  if (reader.ok() && !IdType::parse(out)) reader.wrong(Errc::invalid, key, "not an id");
  return out;
}

template <typename IdType>
std::vector<std::string> id_members(JsonReader& reader, std::string_view key, std::size_t most) {
  std::vector<std::string> out = reader.texts(key, most, kIdChars);
  for (const std::string& id : out) {
    if (!IdType::parse(id)) reader.wrong(Errc::invalid, key, "not an id");
  }
  return out;
}

RoleMask read_roles(JsonReader& reader) {
  RoleMask out = 0;
  for (const std::string& text : reader.texts("roles", kRoles, kNameCharsMax)) {
    RoleMask bit = 0;
    for (std::size_t i = 0; i < kRoles; ++i) {
      if (text == name(static_cast<Role>(i))) bit = mask(static_cast<Role>(i));
    }
    if (bit == 0 || (out & bit) != 0) reader.wrong(Errc::invalid, "roles", "unknown or twice");
    out = static_cast<RoleMask>(out | bit);
  }
  return out;
}

ClassMask read_classes(JsonReader& reader) {
  ClassMask out = 0;
  for (const std::string& text : reader.texts("classes", kChannelClasses, kNameCharsMax)) {
    ClassMask bit = 0;
    if (text == "interactive") bit = mask(ChannelClass::interactive);
    if (text == "bulk") bit = mask(ChannelClass::bulk);
    if (bit == 0 || (out & bit) != 0) reader.wrong(Errc::invalid, "classes", "unknown or twice");
    out = static_cast<ClassMask>(out | bit);
  }
  return out;
}

std::vector<Sha256Digest> read_keys(JsonReader& reader) {
  std::vector<Sha256Digest> out;
  for (const std::string& text : reader.texts("keys", kKeysMax, 64)) {
    const auto bytes = from_hex(text);
    if (!bytes || bytes->size() != 32 || to_hex(*bytes) != text) {
      reader.wrong(Errc::invalid, "keys", "want sha256 in lower-case hex");
      return {};
    }
    std::copy(bytes->begin(), bytes->end(), out.emplace_back().begin());
  }
  if (out.empty()) reader.wrong(Errc::invalid, "keys", "none");
  return out;
}

Result<NodeEntry> read_node(const json::object& object, const std::string& where) {
  constexpr std::string_view kTrustNames[kTrusts] = {"quarantined", "low", "normal", "high"};
  JsonReader reader(object, where);
  NodeEntry out;
  out.node_id = id_member<NodeId>(reader, "node_id");
  out.spiffe_id = reader.text("spiffe_id", 160);
  out.keys = read_keys(reader);
  out.roles = read_roles(reader);
  out.region = name_member(reader, "region");
  out.endpoints = reader.texts("endpoints", kEndpointsMax, kEndpointCharsMax);
  for (const std::string& endpoint : out.endpoints) {
    if (!is_endpoint(endpoint)) reader.wrong(Errc::invalid, "endpoints", "want host:port");
  }
  if (reader.has("attached")) {
    out.attached = id_members<NodeId>(reader, "attached", kAttachedMax);
  }
  if (reader.has("owner")) out.owner = id_member<OrganizationId>(reader, "owner");
  if (reader.has("serves")) out.serves = id_members<OrganizationId>(reader, "serves", kServesMax);
  if (reader.has("trust")) {
    out.trust = static_cast<Trust>(reader.one_of("trust", kTrustNames, kTrusts));
  }
  if (reader.has("load_permille")) {
    out.load_permille = static_cast<std::uint16_t>(reader.number("load_permille", 0, kLoadMax));
  }
  out.version = name_member(reader, "version");
  if (reader.has("classes")) out.classes = read_classes(reader);
  reader.number_if("avoid", out.avoid, 0, kAvoidMax);
  reader.flag_if("thin", out.thin);
  reader.flag_if("draining", out.draining);
  reader.flag_if("bootstrap", out.bootstrap);
  const Status status = reader.done();
  if (!status) return fail(status.error());
  return out;
}

Result<GroupEntry> read_group(const json::object& object, const std::string& where) {
  JsonReader reader(object, where);
  GroupEntry out;
  out.name = name_member(reader, "name");
  out.members = id_members<NodeId>(reader, "members", kGroupMembersMax);
  if (reader.has("organizations")) {
    out.organizations = id_members<OrganizationId>(reader, "organizations", kServesMax);
  }
  const Status status = reader.done();
  if (!status) return fail(status.error());
  return out;
}

template <typename Item, typename Read>
Status read_items(JsonReader& reader, std::string_view key, std::size_t most,
                  std::vector<Item>& out, Read read) {
  const json::array* array = reader.array(key, most);
  if (array == nullptr) return {};
  out.reserve(array->size());
  for (const json::value& value : *array) {
    const std::string where = std::string(key) + "[" + std::to_string(out.size()) + "].";
    if (!value.is_object()) return fail(Errc::invalid, where + ": want an object");
    auto item = read(value.get_object(), where);
    if (!item) return fail(std::move(item.error()));
    out.push_back(std::move(*item));
  }
  return {};
}

SystemTime time_member(JsonReader& reader, std::string_view key) {
  const std::string text = reader.text(key, 40);
  if (!reader.ok()) return {};
  const auto time = from_rfc3339(text);
  if (!time || to_rfc3339(*time) != text) {
    reader.wrong(Errc::invalid, key, "want 2026-11-21T19:37:37Z");
    return {};
  }
  return *time;
}

json::array texts_json(const std::vector<std::string>& texts) {
  return json::array(texts.begin(), texts.end());
}

json::object node_json(const NodeEntry& node) {
  json::object out{{"node_id", node.node_id}, {"spiffe_id", node.spiffe_id}};
  json::array keys;
  for (const Sha256Digest& key : node.keys) keys.emplace_back(to_hex(key));
  out["keys"] = std::move(keys);
  json::array roles;
  for (std::size_t i = 0; i < kRoles; ++i) {
    const Role role = static_cast<Role>(i);
    if ((node.roles & mask(role)) != 0) roles.emplace_back(json::string_view(name(role)));
  }
  out["roles"] = std::move(roles);
  out["region"] = node.region;
  out["endpoints"] = texts_json(node.endpoints);
  if (!node.attached.empty()) out["attached"] = texts_json(node.attached);
  if (!node.owner.empty()) out["owner"] = node.owner;
  if (node.serves) out["serves"] = texts_json(*node.serves);
  out["trust"] = json::string_view(name(node.trust));
  if (node.load_permille) out["load_permille"] = *node.load_permille;
  out["version"] = node.version;
  if (node.classes != kEveryClass) {
    json::array classes;
    for (const ChannelClass c : {ChannelClass::interactive, ChannelClass::bulk}) {
      if ((node.classes & mask(c)) != 0) classes.emplace_back(json::string_view(name(c)));
    }
    out["classes"] = std::move(classes);
  }
  if (node.avoid != 0) out["avoid"] = node.avoid;
  if (node.thin) out["thin"] = true;
  if (node.draining) out["draining"] = true;
  if (node.bootstrap) out["bootstrap"] = true;
  return out;
}

json::array groups_json(const std::vector<GroupEntry>& groups) {
  json::array out;
  for (const GroupEntry& group : groups) {
    json::object item{{"name", group.name}, {"members", texts_json(group.members)}};
    if (group.organizations) item["organizations"] = texts_json(*group.organizations);
    out.push_back(std::move(item));
  }
  return out;
}

}  // namespace

bool is_endpoint(std::string_view text) {
  if (text.size() > kEndpointCharsMax) return false;
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return false;
  const std::string_view port = text.substr(colon + 1);
  std::string_view host = text.substr(0, colon);
  unsigned number = 0;
  const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (ec != std::errc() || end != port.data() + port.size() || number < 1 || number > 65535 ||
      port.front() == '0') {
    return false;
  }
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    in6_addr address;
    return inet_pton(AF_INET6, std::string(host).c_str(), &address) == 1;
  }
  return is_host(host);
}

Result<DirectoryDoc> parse_directory(std::string_view text) {
  constexpr std::string_view kStateNames[kAuthorityStates] = {"healthy", "degraded", "recovery",
                                                              "isolated"};
  auto value = parse_json(text, kLimits);
  if (!value) return fail(value.error(), "mesh directory");
  if (!value->is_object()) return fail(Errc::malformed, "mesh directory: want an object");
  JsonReader reader(value->get_object(), "mesh directory: ");
  if (reader.number("format", 0, kVersionMax) != 1 && reader.ok()) {
    return fail(Errc::unsupported, "mesh directory: format: this node reads format 1");
  }
  DirectoryDoc out;
  out.cluster_id = id_member<ClusterId>(reader, "cluster_id");
  out.node_id = id_member<NodeId>(reader, "node_id");
  out.authority =
      static_cast<AuthorityState>(reader.one_of("authority", kStateNames, kAuthorityStates));
  out.authority_term = reader.number("authority_term", 0, kVersionMax);
  out.version = reader.number("version", 0, kVersionMax);
  out.issued_at = time_member(reader, "issued_at");
  out.expires_at = time_member(reader, "expires_at");
  if (reader.ok() && out.expires_at <= out.issued_at) {
    reader.wrong(Errc::invalid, "expires_at", "not after issued_at");
  }
  for (const Status& status :
       {read_items(reader, "nodes", kNodesMax, out.nodes, read_node),
        read_items(reader, "services", kGroupsMax, out.services, read_group),
        read_items(reader, "egress_pools", kGroupsMax, out.egress_pools, read_group)}) {
    if (!status) return fail(status.error(), "mesh directory");
  }
  if (const json::object* object = reader.object("policy")) {
    auto policy = read_policy(*object);
    if (!policy) return fail(policy.error(), "mesh directory");
    out.policy = std::move(*policy);
  }
  const Status status = reader.done();
  if (!status) return fail(status.error());
  return out;
}

std::string to_json(const DirectoryDoc& doc) {
  json::array nodes;
  nodes.reserve(doc.nodes.size());
  for (const NodeEntry& node : doc.nodes) nodes.push_back(node_json(node));
  return json::serialize(json::object{{"format", 1},
                                      {"cluster_id", doc.cluster_id},
                                      {"node_id", doc.node_id},
                                      {"authority", json::string_view(name(doc.authority))},
                                      {"authority_term", doc.authority_term},
                                      {"version", doc.version},
                                      {"issued_at", to_rfc3339(doc.issued_at)},
                                      {"expires_at", to_rfc3339(doc.expires_at)},
                                      {"nodes", std::move(nodes)},
                                      {"services", groups_json(doc.services)},
                                      {"egress_pools", groups_json(doc.egress_pools)},
                                      {"policy", write_policy(doc.policy)}});
}

}  // namespace rap::routing
