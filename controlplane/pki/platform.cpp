#include "controlplane/pki/platform.hpp"

#include <sys/stat.h>

#include "base/crypto.hpp"
#include "base/file.hpp"
#include "controlplane/pki/server_certificate.hpp"

namespace rap::cp {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPemMax = 64 * 1024;

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

}  // namespace

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
  if (!exists(kServerCertificateFile)) {
    const auto authority = load_authority(config);
    if (!authority) return fail(authority.error());
    if (auto done = load_server_identity(config, *authority, now); !done) return fail(done.error());
    made.emplace_back(kServerCertificateFile);
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
  auto server = load_server_identity(config, *authority, now);
  if (!server) return fail(server.error());
  return PlatformKeys{std::move(*authority), std::move(*server), std::move(*sealer)};
}

}  // namespace rap::cp
