#include "controlplane/pki/platform.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "base/crypto.hpp"
#include "base/file.hpp"

namespace rap::cp {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::hours kServerLife{24 * 365};
constexpr std::chrono::hours kServerRenewBefore{24 * 30};
constexpr std::size_t kPemMax = 64 * 1024;

Status write_server_certificate(const Config& config, const CertificateAuthority& authority,
                                SystemTime now) {
  const std::string key = net::generate_p256_key_pem();
  const auto issued = authority.issue_server(key, server_names(config), now, kServerLife);
  // The chain carries the authority: agents pin it by its key before they know its certificate.
  const std::string chain = issued.pem + authority.certificate_pem();
  if (auto done = write_file_atomic(config.data_dir / kServerKeyFile, key, 0600); !done)
    return done;
  return write_file_atomic(config.data_dir / kServerCertificateFile, chain, 0644);
}

Result<CertificateAuthority> load_authority(const Config& config) {
  auto certificate = read_text_file(config.data_dir / kPlatformCaFile, kPemMax);
  if (!certificate) {
    return fail(certificate.error(), "platform authority (has rap-control-plane init run?)");
  }
  auto key = read_text_file(config.data_dir / kPlatformCaKeyFile, kPemMax);
  if (!key) return fail(key.error(), "platform authority's key");
  Secret secret(*key);
  wipe(*key);
  return CertificateAuthority::load(std::move(*certificate), std::move(secret));
}

bool covers(const std::string& pem, const Config& config, SystemTime now) {
  const auto facts = net::parse_certificate_pem(pem);
  if (!facts || facts->not_after - kServerRenewBefore < now) return false;
  // Made while the clock was ahead: nobody would accept it until then.
  if (facts->not_before > now) return false;
  return std::ranges::all_of(server_names(config),
                             [&](const std::string& name) { return certificate_names(pem, name); });
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

Result<std::vector<std::string>> make_platform_keys(const Config& config, SystemTime now) {
  std::error_code error;
  fs::create_directories(config.data_dir, error);
  if (error) return fail(Errc::internal, config.data_dir.string() + ": " + error.message());
  ::chmod(config.data_dir.c_str(), 0700);
  std::vector<std::string> made;
  const auto exists = [&](const char* file) { return fs::exists(config.data_dir / file); };
  if (exists(kPlatformCaFile) != exists(kPlatformCaKeyFile)) {
    return fail(Errc::conflict,
                "the data folder has only a part of the platform authority; restore "
                "the other part from the backup");
  }
  if (!exists(kPlatformCaFile)) {
    const auto authority = CertificateAuthority::make("RAP platform", now);
    auto done =
        write_file_atomic(config.data_dir / kPlatformCaKeyFile, authority.key_pem().bytes(), 0600);
    if (done) {
      done =
          write_file_atomic(config.data_dir / kPlatformCaFile, authority.certificate_pem(), 0644);
    }
    if (!done) return fail(done.error(), "platform authority");
    made.emplace_back(kPlatformCaFile);
    made.emplace_back(kPlatformCaKeyFile);
  }
  if (!exists(kServerCertificateFile) || !exists(kServerKeyFile)) {
    const auto authority = load_authority(config);
    if (!authority) return fail(authority.error());
    if (auto done = write_server_certificate(config, *authority, now); !done) {
      return fail(done.error(), "server certificate");
    }
    made.emplace_back(kServerCertificateFile);
    made.emplace_back(kServerKeyFile);
  }
  if (!exists(kKekFile)) {
    std::string text = to_hex(random_bytes(32)) + "\n";
    const auto done = write_file_atomic(config.data_dir / kKekFile, text, 0600);
    wipe(text);
    if (!done) return fail(done.error(), "key-encryption key");
    made.emplace_back(kKekFile);
  }
  return made;
}

Result<PlatformKeys> load_platform_keys(const Config& config, SystemTime now) {
  auto authority = load_authority(config);
  if (!authority) return fail(authority.error());
  auto sealer = Sealer::from_file(config.data_dir / kKekFile);
  if (!sealer) return fail(sealer.error());
  auto certificate = read_text_file(config.data_dir / kServerCertificateFile, kPemMax);
  if (!certificate) return fail(certificate.error(), "server certificate");
  if (!covers(*certificate, config, now)) {
    if (auto done = write_server_certificate(config, *authority, now); !done) {
      return fail(done.error(), "server certificate");
    }
    certificate = read_text_file(config.data_dir / kServerCertificateFile, kPemMax);
    if (!certificate) return fail(certificate.error(), "server certificate");
  }
  auto key = read_text_file(config.data_dir / kServerKeyFile, kPemMax);
  if (!key) return fail(key.error(), "server key");
  return PlatformKeys{
      std::move(*authority), {std::move(*certificate), std::move(*key)}, std::move(*sealer)};
}

}  // namespace rap::cp
