#include "controlplane/pki/server_certificate.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.hpp"

namespace rap::cp {
namespace {

namespace fs = std::filesystem;
using std::chrono::hours;

class ServerCertificate : public testing::Test {
 protected:
  ServerCertificate() : authority_(CertificateAuthority::make("test", start_)) {
    std::string name = (fs::temp_directory_path() / "rap-server-certificate-XXXXXX").string();
    config_.data_dir = ::mkdtemp(name.data());
    config_.public_url = "https://rap.example:8443";
  }
  ~ServerCertificate() override { fs::remove_all(config_.data_dir); }

  Result<net::TlsIdentity> load(SystemTime now) {
    return load_server_identity(config_, authority_, now);
  }
  fs::path file() const { return config_.data_dir / kServerCertificateFile; }
  std::string text() const { return *read_text_file(file(), 64 * 1024); }
  void write(const fs::path& path, const std::string& content) {
    ASSERT_TRUE(write_file_atomic(path, content, 0600));
  }

  const SystemTime start_ = RealClock().now();
  Config config_;
  CertificateAuthority authority_;
};

TEST_F(ServerCertificate, IsMadeOnceAndRenewedThirtyDaysBeforeItsEnd) {
  const auto made = load(start_);
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_EQ(fs::status(file()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(load(start_ + hours(24 * 334))->certificate_pem, made->certificate_pem);
  const auto renewed = load(start_ + hours(24 * 336));
  ASSERT_TRUE(renewed);
  EXPECT_NE(renewed->certificate_pem, made->certificate_pem);
  EXPECT_NE(renewed->key_pem, made->key_pem);
  EXPECT_EQ(load(start_ + hours(24 * 336))->certificate_pem, renewed->certificate_pem);
}

TEST_F(ServerCertificate, FollowsTheNamesOfTheConfiguration) {
  const auto made = load(start_);
  config_.public_url = "https://other.example";
  const auto other = load(start_);
  ASSERT_TRUE(other);
  EXPECT_NE(other->certificate_pem, made->certificate_pem);
  EXPECT_TRUE(certificate_names(other->certificate_pem, "other.example"));
}

TEST_F(ServerCertificate, ReadsTheTwoFilesOfOlderVersionsUntilItRenews) {
  const auto made = load(start_);
  write(config_.data_dir / kServerKeyFile, made->key_pem);
  write(file(), made->certificate_pem);
  const auto read = load(start_);
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->key_pem, made->key_pem);
  ASSERT_TRUE(load(start_ + hours(24 * 336)));
  EXPECT_FALSE(fs::exists(config_.data_dir / kServerKeyFile));
}

TEST_F(ServerCertificate, WhatDoesNotFitIsNamedAndNotReplaced) {
  const auto made = load(start_);
  const std::pair<std::string, Errc> bad[] = {
      {net::generate_p256_key_pem() + made->certificate_pem, Errc::mismatch},
      {made->key_pem, Errc::malformed},
      {made->key_pem + made->certificate_pem.substr(0, 200), Errc::malformed},
      {made->certificate_pem, Errc::not_found},  // and there is no server.key
      {"", Errc::not_found},
      {"PRIVATE KEY" + made->certificate_pem, Errc::malformed},
  };
  for (const auto& [content, code] : bad) {
    write(file(), content);
    const auto read = load(start_);
    ASSERT_FALSE(read) << content;
    EXPECT_EQ(read.error().code, code) << read.error().text();
    EXPECT_NE(read.error().text().find("server."), std::string::npos) << read.error().text();
    EXPECT_EQ(text(), content);
  }
}

}  // namespace
}  // namespace rap::cp
