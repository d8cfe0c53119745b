#include "signing/sign/draft.hpp"

#include <algorithm>

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "base/json.hpp"
#include "signing/verify/canonical_json.hpp"

namespace rap::sign {
namespace {

namespace json = boost::json;

constexpr std::size_t kDraftMax = 8 << 20;

}  // namespace

Draft::Draft() : body_(std::make_unique<json::object>()) {}
Draft::Draft(json::object body) : body_(std::make_unique<json::object>(std::move(body))) {}
Draft::~Draft() = default;
Draft::Draft(const Draft& other)
    : body_(std::make_unique<json::object>(*other.body_)), signatures_(other.signatures_) {}
Draft::Draft(Draft&& other) noexcept = default;
Draft& Draft::operator=(Draft other) noexcept {
  std::swap(body_, other.body_);
  std::swap(signatures_, other.signatures_);
  return *this;
}

Result<Draft> Draft::parse(ByteView bytes) {
  auto value = parse_json(as_text(bytes), {.bytes_max = kDraftMax});
  if (!value) return fail(std::move(value.error()));
  if (!value->is_object()) return fail(Errc::malformed, "metadata: want an object");
  auto body = json_object(value->get_object(), "signed");
  auto signatures = json_array(value->get_object(), "signatures");
  if (!body || !signatures) return fail(Errc::malformed, "metadata: want signed and signatures");
  Draft draft(**body);
  for (const json::value& element : **signatures) {
    if (!element.is_object()) return fail(Errc::malformed, "signatures: want objects");
    auto key_id = json_string(element.get_object(), "keyid");
    auto text = json_string(element.get_object(), "sig");
    if (!key_id || !text) return fail(Errc::malformed, "signatures: want keyid and sig");
    if (!draft.signatures_.emplace(std::move(*key_id), std::move(*text)).second) {
      return fail(Errc::malformed, "signatures: a key id repeats");
    }
  }
  return draft;
}

std::string Draft::type() const {
  return json_string_or_none(*body_, "_type").value_or("");
}

std::int64_t Draft::version() const {
  return json_int_or_none(*body_, "version").value_or(0);
}

Result<std::string> Draft::canonical() const {
  return tuf::canonical_json(json::value(*body_));
}

void Draft::set_signature(const std::string& key_id, std::string hex) {
  signatures_[key_id] = std::move(hex);
}

Status Draft::add_signature(const Ed25519Key& key) {
  auto text = canonical();
  if (!text) return fail(std::move(text.error()));
  signatures_[key.key_id()] = to_hex(key.sign(as_bytes(*text)));
  return {};
}

std::string Draft::file() const {
  json::array list;
  for (const auto& [key_id, signature] : signatures_) {
    list.push_back(json::object{{"keyid", key_id}, {"sig", signature}});
  }
  json::object envelope;
  envelope["signatures"] = std::move(list);
  envelope["signed"] = *body_;
  return json::serialize(envelope) + "\n";
}

json::object new_body(std::string_view type, std::int64_t version, SystemTime expires) {
  json::object body;
  body["_type"] = json::string_view(type.data(), type.size());
  body["spec_version"] = "1.0.31";
  set_version(body, version, expires);
  return body;
}

void set_version(json::object& body, std::int64_t version, SystemTime expires) {
  body["version"] = version;
  body["expires"] = to_rfc3339(expires);
}

Result<json::object> role_object(const std::vector<tuf::PublicKey>& keys, std::int64_t threshold) {
  if (threshold < 1 || threshold > static_cast<std::int64_t>(keys.size())) {
    return fail(Errc::invalid, "threshold " + std::to_string(threshold) + " of " +
                                   std::to_string(keys.size()) + " keys");
  }
  json::array ids;
  for (const tuf::PublicKey& key : keys) ids.push_back(json::value(key.id()));
  json::object role;
  role["keyids"] = std::move(ids);
  role["threshold"] = threshold;
  return role;
}

json::object meta_object(std::int64_t version, std::string_view file) {
  json::object meta;
  meta["version"] = version;
  meta["length"] = static_cast<std::int64_t>(file.size());
  meta["hashes"] = json::object{{"sha256", to_hex(sha256(file))}};
  return meta;
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

Result<std::string> sign_file(json::object body, const std::vector<const Ed25519Key*>& keys) {
  Draft draft(std::move(body));
  for (const Ed25519Key* key : keys) {
    if (auto status = draft.add_signature(*key); !status) return fail(std::move(status.error()));
  }
  return draft.file();
}

}  // namespace rap::sign
