#include "host/agent/state/identity.hpp"

#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"
#include "base/secret.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;

constexpr std::size_t kFileBytesMax = 1 << 20;  // a director root is at most 512 KB

struct Member {
  std::string_view name;
  std::string Identity::*value;
};
constexpr Member kMembers[] = {
    {"node_id", &Identity::node_id},
    {"cluster_id", &Identity::cluster_id},
    {"server", &Identity::server},
    {"pin", &Identity::pin},
    {"key_pem", &Identity::key_pem},
    {"certificate_pem", &Identity::certificate_pem},
    {"cluster_ca_pem", &Identity::cluster_ca_pem},
    {"director_root", &Identity::director_root},
};

}  // namespace

Result<Identity> parse_identity(std::string_view text) {
  auto value = parse_json(text, {.bytes_max = kFileBytesMax, .depth_max = 4});
  if (!value) return fail(std::move(value.error()));
  if (!value->is_object()) return fail(Errc::malformed, "want an object");
  Identity out;
  for (const Member& member : kMembers) {
    auto entry = json_string(value->get_object(), member.name);
    if (!entry) return fail(Errc::malformed, entry.error().detail);
    if (entry->empty()) return fail(Errc::malformed, std::string(member.name) + " is empty");
    out.*member.value = std::move(*entry);
  }
  return out;
}

std::string serialize(const Identity& identity) {
  json::object out{{"format", 1}};
  for (const Member& member : kMembers) out[member.name] = identity.*member.value;
  return json::serialize(out) + "\n";
}

Result<Identity> read_identity(const std::filesystem::path& path) {
  auto text = read_text_file(path, kFileBytesMax);
  if (!text) return fail(std::move(text.error()));
  auto identity = parse_identity(*text);
  wipe(*text);
  if (!identity) return fail(identity.error(), path.string());
  return identity;
}

Status write_identity(const std::filesystem::path& path, const Identity& identity) {
  std::string text = serialize(identity);
  Status written = write_file_atomic(path, text, 0600);
  wipe(text);
  return written;
}

Result<PendingEnrollment> read_pending(const std::filesystem::path& path) {
  auto text = read_text_file(path, kFileBytesMax);
  if (!text) return fail(std::move(text.error()));
  auto value = parse_json(*text);
  wipe(*text);
  if (!value || !value->is_object()) return fail(Errc::malformed, path.string());
  const json::object& object = value->get_object();
  PendingEnrollment out;
  auto key = json_string(object, "key_pem");
  if (!key) return fail(Errc::malformed, path.string() + ": " + key.error().detail);
  out.key_pem = std::move(*key);
  out.server = json_string_or_none(object, "server").value_or("");
  out.token_id = json_string_or_none(object, "token_id").value_or("");
  out.join_request_id = json_string_or_none(object, "join_request_id").value_or("");
  return out;
}

Status write_pending(const std::filesystem::path& path, const PendingEnrollment& pending) {
  const json::object out{{"format", 1},
                         {"key_pem", pending.key_pem},
                         {"server", pending.server},
                         {"token_id", pending.token_id},
                         {"join_request_id", pending.join_request_id}};
  return write_file_atomic(path, json::serialize(out) + "\n", 0600);
}

}  // namespace rap::agent
