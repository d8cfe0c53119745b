#include "host/agent/state/mesh_keys.hpp"

#include <algorithm>

#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"
#include "base/net/x509.hpp"
#include "base/secret.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;

// 1,026 keys of 250 bytes with certificates of at most some 4 KiB.
constexpr std::size_t kFileBytesMax = 8u << 20;
constexpr std::size_t kCertificateBytesMax = 16u << 10;

std::optional<MeshPurpose> purpose_of(std::string_view text) {
  for (const MeshPurpose each : {MeshPurpose::mesh, MeshPurpose::entry, MeshPurpose::service}) {
    if (name(each) == text) return each;
  }
  return std::nullopt;
}

std::string spiffe_of(MeshPurpose purpose, const std::string& cluster, const std::string& node,
                      const std::string& service) {
  const std::string base = "spiffe://" + cluster;
  if (purpose == MeshPurpose::mesh) return base + "/node/" + node + "/mesh";
  return purpose == MeshPurpose::entry ? base + "/entry" : base + "/service/" + service;
}

Status check(const MeshKey& key, const std::string& certificate_pem, const std::string& spiffe,
             const std::string& ca_pem, SystemTime now) {
  if (certificate_pem.size() > kCertificateBytesMax) return fail(Errc::too_large, "certificate");
  auto certificate = net::parse_certificate_pem(certificate_pem);
  if (!certificate) return fail(certificate.error());
  auto own = net::key_spki_sha256(key.key_pem);
  if (!own) return fail(own.error(), "own key");
  if (certificate->spki_sha256 != *own) return fail(Errc::mismatch, "it is for another key");
  if (certificate->spiffe_uri != spiffe) {
    return fail(Errc::mismatch, "it names " + certificate->spiffe_uri);
  }
  return net::verify_chain(certificate->der, {}, ca_pem, net::CertificateUse::server, now);
}

}  // namespace

std::string_view name(MeshPurpose purpose) {
  if (purpose == MeshPurpose::mesh) return "mesh";
  return purpose == MeshPurpose::entry ? "entry" : "service";
}

Result<MeshKeys> MeshKeys::parse(std::string_view text) {
  auto value = parse_json(text, {.bytes_max = kFileBytesMax, .depth_max = 4});
  if (!value) return fail(Errc::malformed, value.error().detail);
  if (!value->is_object()) return fail(Errc::malformed, "want an object");
  auto list = json_array(value->get_object(), "keys");
  if (!list) return fail(Errc::malformed, list.error().detail);
  MeshKeys out;
  for (const json::value& item : **list) {
    if (!item.is_object()) return fail(Errc::malformed, "keys: want objects");
    const json::object& entry = item.get_object();
    const auto purpose = purpose_of(json_string_or_none(entry, "purpose").value_or(""));
    const std::string organization = json_string_or_none(entry, "organization").value_or("");
    MeshKey key{json_string_or_none(entry, "key_pem").value_or(""),
                json_string_or_none(entry, "certificate_pem").value_or(""),
                json_string_or_none(entry, "service").value_or("")};
    if (!purpose || (*purpose == MeshPurpose::service) == organization.empty() ||
        key.key_pem.empty()) {
      return fail(Errc::malformed, "keys: purpose, organization or key_pem");
    }
    out.keys_[{*purpose, organization}] = std::move(key);
  }
  return out;
}

std::string MeshKeys::serialize() const {
  json::array list;
  for (const auto& [use, key] : keys_) {
    list.push_back({{"purpose", name(use.first)},
                    {"organization", use.second},
                    {"service", key.service_id},
                    {"key_pem", key.key_pem},
                    {"certificate_pem", key.certificate_pem}});
  }
  return json::serialize(json::object{{"format", 1}, {"keys", std::move(list)}}) + "\n";
}

Result<MeshKeys> MeshKeys::read(const std::filesystem::path& path) {
  auto text = read_text_file(path, kFileBytesMax);
  if (!text && text.error().code == Errc::not_found) return MeshKeys();
  if (!text) return fail(std::move(text.error()));
  auto keys = parse(*text);
  wipe(*text);
  if (!keys) return fail(keys.error(), path.string());
  return keys;
}

Status MeshKeys::write(const std::filesystem::path& path) const {
  std::string text = serialize();
  Status written = write_file_atomic(path, text, 0600);
  wipe(text);
  return written;
}

bool MeshKeys::want(const std::set<MeshUse>& uses) {
  bool changed =
      std::erase_if(keys_, [&](const auto& entry) { return !uses.contains(entry.first); }) > 0;
  for (const MeshUse& use : uses) {
    if (keys_.contains(use) || keys_.size() >= kServicesMax + 2) continue;
    keys_[use].key_pem = net::generate_p256_key_pem();
    changed = true;
  }
  return changed;
}

std::vector<MeshUse> MeshKeys::due(SystemTime now) const {
  bool any = false;
  std::vector<MeshUse> all, fresh;
  for (const auto& [use, key] : keys_) {
    all.push_back(use);
    if (key.certificate_pem.empty()) {
      fresh.push_back(use);
      continue;
    }
    const auto certificate = net::parse_certificate_pem(key.certificate_pem);
    any = any || !certificate || now < certificate->not_before ||
          now >= certificate->not_before + (certificate->not_after - certificate->not_before) / 2;
  }
  return any ? all : fresh;
}

Result<std::vector<json::object>> MeshKeys::requests(const std::vector<MeshUse>& uses) const {
  std::vector<json::object> out(1);
  std::size_t services = 0;
  for (const MeshUse& use : uses) {
    const auto found = keys_.find(use);
    if (found == keys_.end()) return fail(Errc::not_found, "no key for that use");
    auto csr = net::make_csr_pem(found->second.key_pem, name(use.first));
    if (!csr) return fail(csr.error());
    if (use.first != MeshPurpose::service) {
      out.front()[std::string(name(use.first)) + "_csr_pem"] = *csr;
      continue;
    }
    if (services > 0 && services % kRequestServicesMax == 0) out.emplace_back();
    ++services;
    json::value& list = out.back()["services"];
    if (list.is_null()) list = json::array{};
    list.get_array().push_back({{"organization_id", use.second}, {"csr_pem", *csr}});
  }
  if (out.front().empty()) out.clear();
  return out;
}

Result<std::vector<MeshRefusal>> MeshKeys::take(const json::object& answer,
                                                const std::string& cluster_id,
                                                const std::string& node_id,
                                                const std::string& cluster_ca_pem, SystemTime now) {
  std::vector<MeshRefusal> refused;
  const auto take_one = [&](MeshPurpose purpose, const json::value& value) {
    if (!value.is_object()) return;  // null: not given
    const json::object& given = value.get_object();
    const std::string organization = json_string_or_none(given, "organization_id").value_or("");
    const std::string service = json_string_or_none(given, "service_id").value_or("");
    std::string pem = json_string_or_none(given, "certificate_pem").value_or("");
    const auto key = keys_.find({purpose, organization});
    Status good = key == keys_.end()
                      ? Status(fail(Errc::mismatch, "nobody asked for it"))
                      : check(key->second, pem, spiffe_of(purpose, cluster_id, node_id, service),
                              cluster_ca_pem, now);
    if (!good) {
      refused.push_back({std::string(name(purpose)), organization,
                         std::string(rap::name(good.error().code)), good.error().detail});
      return;
    }
    key->second.certificate_pem = std::move(pem);
    key->second.service_id = service;
  };
  const json::value* mesh = answer.if_contains("mesh");
  const json::value* entry = answer.if_contains("entry");
  const auto services = json_array(answer, "services");
  const auto others = json_array(answer, "refused");
  if (!services || !others) return fail(Errc::malformed, "want services and refused");
  if (mesh != nullptr) take_one(MeshPurpose::mesh, *mesh);
  if (entry != nullptr) take_one(MeshPurpose::entry, *entry);
  for (const json::value& value : **services) take_one(MeshPurpose::service, value);
  for (const json::value& value : **others) {
    if (!value.is_object()) continue;
    const json::object& said = value.get_object();
    refused.push_back({json_string_or_none(said, "purpose").value_or(""),
                       json_string_or_none(said, "organization_id").value_or(""),
                       json_string_or_none(said, "code").value_or(""),
                       json_string_or_none(said, "detail").value_or("")});
  }
  return refused;
}

}  // namespace rap::agent
