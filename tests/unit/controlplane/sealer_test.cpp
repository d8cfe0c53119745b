#include "controlplane/secrets/sealer.hpp"

#include <gtest/gtest.h>

#include "base/crypto.hpp"
#include "controlplane/auth/password.hpp"
#include "controlplane/pki/authority.hpp"

namespace rap::cp {
namespace {

TEST(Sealer, OpensOnlyTheSameBytesInTheSameContextWithTheSameKey) {
  const auto sealer = Sealer::create(Secret(random_bytes(32)));
  const auto other = Sealer::create(Secret(random_bytes(32)));
  ASSERT_TRUE(sealer && other);
  const Bytes sealed = sealer->seal(as_bytes("hunter2"), "secret|org_a|sec_1");
  EXPECT_EQ(sealer->open(sealed, "secret|org_a|sec_1")->text(), "hunter2");
  EXPECT_EQ(sealer->open(sealed, "secret|org_b|sec_1").error().code, Errc::bad_signature);
  EXPECT_EQ(other->open(sealed, "secret|org_a|sec_1").error().code, Errc::mismatch);
  EXPECT_NE(sealer->seal(as_bytes("hunter2"), "x"), sealer->seal(as_bytes("hunter2"), "x"));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    Bytes changed = sealed;
    changed[i] ^= 1;
    EXPECT_FALSE(sealer->open(changed, "secret|org_a|sec_1")) << i;
  }
  for (std::size_t size = 0; size < sealed.size(); size += 7) {
    EXPECT_FALSE(sealer->open(ByteView(sealed).subspan(0, size), "secret|org_a|sec_1")) << size;
  }
  EXPECT_FALSE(Sealer::create(Secret(random_bytes(16))));
}

TEST(Sealer, MacsDependOnTheKeyTheContextAndTheData) {
  const auto sealer = Sealer::create(Secret(Bytes(32, 1)));
  const auto other = Sealer::create(Secret(Bytes(32, 2)));
  ASSERT_TRUE(sealer && other);
  const auto mac = sealer->mac(as_bytes("hunter2"), "a");
  EXPECT_EQ(mac, sealer->mac(as_bytes("hunter2"), "a"));
  EXPECT_NE(mac, sealer->mac(as_bytes("hunter3"), "a"));
  EXPECT_NE(mac, sealer->mac(as_bytes("hunter2"), "b"));
  EXPECT_NE(mac, other->mac(as_bytes("hunter2"), "a"));
  EXPECT_NE(mac, sha256("hunter2"));
  EXPECT_NE(sealer->mac({}, "a"), mac);
}

TEST(Password, ArgonHashesVerify) {
  const std::string encoded = hash_password("correct horse");
  EXPECT_TRUE(encoded.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
  EXPECT_TRUE(verify_password("correct horse", encoded));
  EXPECT_FALSE(verify_password("correct horsf", encoded));
  EXPECT_FALSE(verify_password("x", "not a hash"));
}

TEST(Authority, IssuesNodeAndServerCertificates) {
  const SystemTime now = RealClock().now();
  const auto ca = CertificateAuthority::make("test", now);
  const std::string key = net::generate_p256_key_pem();
  const auto csr = net::make_csr_pem(key, "whatever");
  ASSERT_TRUE(csr);
  const auto request = inspect_csr(*csr);
  ASSERT_TRUE(request) << request.error().text();
  const auto node = ca.issue_node(*csr, "spiffe://cls_x/node/nod_y", now);
  EXPECT_EQ(node.facts.spiffe_uri, "spiffe://cls_x/node/nod_y");
  EXPECT_EQ(node.facts.spki_sha256, request->fingerprint);
  EXPECT_FALSE(node.facts.is_ca);
  EXPECT_TRUE(net::verify_chain(node.facts.der, {}, ca.certificate_pem(),
                                net::CertificateUse::client, now));
  EXPECT_TRUE(net::verify_chain(node.facts.der, {}, ca.certificate_pem(),
                                net::CertificateUse::server, now));
  EXPECT_FALSE(net::verify_chain(node.facts.der, {}, ca.certificate_pem(),
                                 net::CertificateUse::client, now + std::chrono::hours(25)));
  const auto server =
      ca.issue_server(key, {"rap.example", "192.0.2.1"}, now, std::chrono::hours(1));
  EXPECT_TRUE(certificate_names(server.pem, "rap.example"));
  EXPECT_TRUE(certificate_names(server.pem, "192.0.2.1"));
  EXPECT_FALSE(certificate_names(server.pem, "192.0.2.2"));
}

TEST(Csr, HostileTexts) {
  const auto csr = *net::make_csr_pem(net::generate_p256_key_pem(), "n");
  std::string flipped = csr;
  flipped[csr.size() / 2] = flipped[csr.size() / 2] == 'A' ? 'B' : 'A';
  for (const std::string& bad :
       {std::string(), std::string("x"), flipped, csr.substr(0, 100), std::string(20'000, 'x')}) {
    EXPECT_FALSE(inspect_csr(bad));
  }
}

}  // namespace
}  // namespace rap::cp
