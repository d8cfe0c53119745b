#include "signing/verify/metadata_fields.hpp"

#include <algorithm>
#include <set>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "signing/verify/canonical_json.hpp"

namespace rap::tuf {
namespace {

namespace json = boost::json;

// Above every role's own cap; the caller's cap was enforced while reading.
constexpr std::size_t kDocumentMax = 8 << 20;

Result<std::vector<Signature>> read_signatures(const json::array& array) {
  if (array.size() > kKeysMax) return fail(Errc::too_large, "signatures");
  std::vector<Signature> signatures;
  std::set<std::string> seen;
  for (const json::value& element : array) {
    if (!element.is_object()) return fail(Errc::malformed, "signatures: want objects");
    auto key_id = json_string(element.get_object(), "keyid");
    auto text = json_string(element.get_object(), "sig");
    if (!key_id || !text) return fail(Errc::malformed, "signatures: want keyid and sig");
    if (!seen.insert(*key_id).second) {
      return fail(Errc::malformed, "signatures: key id " + *key_id + " repeats");
    }
    // Signers that have not signed yet leave an empty text; it must not spoil the others.
    signatures.push_back({std::move(*key_id), from_hex(*text).value_or(Bytes{})});
  }
  return signatures;
}

bool is_lower_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

Result<json::value> parse_document(ByteView bytes) {
  return parse_json(as_text(bytes), {.bytes_max = kDocumentMax});
}

Result<SignedBytes> read_envelope(const json::value& document, std::string_view type) {
  if (!document.is_object()) return fail(Errc::malformed, "want an object");
  auto signed_part = json_object(document.get_object(), "signed");
  auto array = json_array(document.get_object(), "signatures");
  if (!signed_part || !array) return fail(Errc::malformed, "want signed and signatures");
  auto signatures = read_signatures(**array);
  if (!signatures) return fail(std::move(signatures.error()));

  auto own_type = json_string(**signed_part, "_type");
  if (!own_type || *own_type != type) {
    return fail(Errc::malformed, "_type: want " + std::string(type));
  }
  auto spec = json_string(**signed_part, "spec_version");
  if (!spec || !spec->starts_with("1.")) return fail(Errc::unsupported, "spec_version: want 1.x");

  auto canonical = canonical_json(*document.get_object().if_contains("signed"));
  if (!canonical) return fail(std::move(canonical.error()));
  return SignedBytes{std::move(*canonical), std::move(*signatures)};
}

Result<std::int64_t> integer_field(const json::object& object, std::string_view key,
                                   std::int64_t least) {
  auto number = json_int(object, key);
  if (!number || *number < least || *number > kIntegerMax) {
    return fail(Errc::malformed,
                std::string(key) + ": want an integer of at least " + std::to_string(least));
  }
  return *number;
}

Status read_common(const json::object& object, Common& common) {
  auto version = integer_field(object, "version", 1);
  if (!version) return fail(std::move(version.error()));
  common.version = *version;
  auto expires = json_string(object, "expires");
  // The specification's form has no fraction: YYYY-MM-DDTHH:MM:SSZ.
  constexpr std::size_t kLength = 20;
  if (!expires || expires->size() != kLength) {
    return fail(Errc::malformed, "expires: want YYYY-MM-DDTHH:MM:SSZ");
  }
  auto time = from_rfc3339(*expires);
  if (!time) return fail(time.error(), "expires");
  common.expires = *time;
  return {};
}

Result<KeyRing> read_keys(const json::object& keys) {
  if (keys.size() > kKeysMax) return fail(Errc::too_large, "keys");
  KeyRing ring;
  for (const auto& [id, value] : keys) {
    const std::string key_id(id);
    if (!value.is_object()) return fail(Errc::malformed, "key " + key_id + ": want an object");
    auto key = PublicKey::from_json(value.get_object());
    if (!key) return fail(key.error(), "key " + key_id);
    if (key->id() != key_id) {
      return fail(Errc::malformed, "key " + key_id + ": the id of this key is " + key->id());
    }
    ring.emplace(key_id, std::move(*key));
  }
  return ring;
}

Result<RoleKeys> read_role_keys(const json::object& role) {
  RoleKeys out;
  auto threshold = integer_field(role, "threshold", 1);
  if (!threshold) return fail(std::move(threshold.error()));
  out.threshold = *threshold;
  auto array = json_array(role, "keyids");
  if (!array) return fail(Errc::malformed, "keyids: want an array");
  auto ids = read_strings(**array, "keyids");
  if (!ids) return fail(std::move(ids.error()));
  if (ids->size() > kKeysMax) return fail(Errc::too_large, "keyids");
  if (std::set<std::string>(ids->begin(), ids->end()).size() != ids->size()) {
    return fail(Errc::malformed, "keyids: an id repeats");
  }
  out.key_ids = std::move(*ids);
  return out;
}

Result<Hashes> read_hashes(const json::object& hashes) {
  if (hashes.empty()) return fail(Errc::malformed, "hashes: none");
  Hashes out;
  for (const auto& [name, value] : hashes) {
    if (!value.is_string()) return fail(Errc::malformed, "hashes: want strings");
    const std::string text(value.get_string());
    const std::size_t digits = name == "sha256" ? 64 : name == "sha512" ? 128 : 0;
    if (digits == 0) {
      ++out.unknown;
    } else if (text.size() != digits || !is_lower_hex(text)) {
      return fail(Errc::malformed, "hashes: want lower-case hex of the right length");
    } else {
      out.known.emplace(std::string(name), text);
    }
  }
  return out;
}

Result<MetaFile> read_meta_file(const json::object& object) {
  MetaFile out;
  auto version = integer_field(object, "version", 1);
  if (!version) return fail(std::move(version.error()));
  out.version = *version;
  if (object.contains("length")) {
    auto length = integer_field(object, "length", 0);
    if (!length) return fail(std::move(length.error()));
    out.length = *length;
  }
  if (object.contains("hashes")) {
    auto member = json_object(object, "hashes");
    if (!member) return fail(Errc::malformed, "hashes: want an object");
    auto hashes = read_hashes(**member);
    if (!hashes) return fail(std::move(hashes.error()));
    out.hashes = std::move(*hashes);
  }
  return out;
}

Result<std::vector<std::string>> read_strings(const json::array& array, std::string_view what) {
  std::vector<std::string> out;
  out.reserve(array.size());
  for (const json::value& element : array) {
    if (!element.is_string()) return fail(Errc::malformed, std::string(what) + ": want strings");
    out.emplace_back(element.get_string());
  }
  return out;
}

Status check_role_name(std::string_view name) {
  if (name.empty() || name == "root" || name == "timestamp" || name == "snapshot" ||
      name == "targets") {
    return fail(Errc::malformed, "role name: \"" + std::string(name) + "\" cannot be delegated to");
  }
  if (encode_file_name(name).size() > kRoleNameEncodedMax)
    return fail(Errc::too_large, "role name");
  return {};
}

}  // namespace rap::tuf
