#include "controlplane/pki/server_certificate.hpp"

#include <algorithm>

#include "base/file.hpp"

namespace rap::cp {
namespace {

constexpr std::chrono::hours kLife{24 * 365};
// Looked at daily: thirty chances before anybody is refused.
constexpr std::chrono::hours kRenewBefore{24 * 30};
constexpr std::size_t kPemMax = 64 * 1024;

constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";

bool still_good(const std::string& pem, const Config& config, SystemTime now) {
  const auto facts = net::parse_certificate_pem(pem);
  if (!facts || facts->not_after - kRenewBefore < now) return false;
  // Made while the clock was ahead: nobody would accept it until then.
  if (facts->not_before > now) return false;
  return std::ranges::all_of(server_names(config),
                             [&](const std::string& name) { return certificate_names(pem, name); });
}

Result<net::TlsIdentity> make(const Config& config, const CertificateAuthority& authority,
                              SystemTime now) {
  net::TlsIdentity identity;
  identity.key_pem = net::generate_p256_key_pem();
  const auto issued = authority.issue_server(identity.key_pem, server_names(config), now, kLife);
  // The chain carries the authority: agents pin it by its key before they know its certificate.
  identity.certificate_pem = issued.pem + authority.certificate_pem();
  const auto path = config.data_dir / kServerCertificateFile;
  if (auto done = write_file_atomic(path, identity.key_pem + identity.certificate_pem, 0600);
      !done) {
    return fail(done.error(), "server certificate");
  }
  std::error_code ignored;  // only ever read when the other has no key
  std::filesystem::remove(config.data_dir / kServerKeyFile, ignored);
  return identity;
}

Status check_pair(const Config& config, const net::TlsIdentity& identity) {
  const std::string name = (config.data_dir / kServerCertificateFile).string();
  const std::string todo = "; restore it, or remove it and a new one is made";
  const auto facts = net::parse_certificate_pem(identity.certificate_pem);
  if (!facts) return fail(facts.error().code, name + ": " + facts.error().detail + todo);
  const auto key = net::key_spki_sha256(identity.key_pem);
  if (!key) return fail(key.error().code, name + ": " + key.error().detail + todo);
  if (*key == facts->spki_sha256) return {};
  return fail(Errc::mismatch, name + ": the private key is not the certificate's" + todo);
}

}  // namespace

std::vector<std::string> server_names(const Config& config) {
  std::vector<std::string> names{config.public_address().host};
  const bool wildcard = config.listen.host == "0.0.0.0" || config.listen.host == "::";
  if (!wildcard) names.push_back(config.listen.host);
  names.insert(names.end(), {"localhost", "127.0.0.1"});
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Result<net::TlsIdentity> load_server_identity(const Config& config,
                                              const CertificateAuthority& authority,
                                              SystemTime now) {
  auto text = read_text_file(config.data_dir / kServerCertificateFile, kPemMax);
  if (!text && text.error().code == Errc::not_found) return make(config, authority, now);
  if (!text) return fail(text.error(), "server certificate");
  net::TlsIdentity identity;
  const auto begin = std::min(text->find(kBegin), text->size());
  identity.key_pem = text->substr(0, begin);
  identity.certificate_pem = text->substr(begin);
  if (identity.key_pem.find("PRIVATE KEY") == std::string::npos) {
    auto key = read_text_file(config.data_dir / kServerKeyFile, kPemMax);
    if (!key) return fail(key.error(), "server key");
    identity.key_pem = std::move(*key);
  }
  if (auto pair = check_pair(config, identity); !pair) return fail(pair.error());
  if (!still_good(identity.certificate_pem, config, now)) return make(config, authority, now);
  return identity;
}

}  // namespace rap::cp
