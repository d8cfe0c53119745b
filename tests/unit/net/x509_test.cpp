#include "base/net/x509.hpp"

#include <gtest/gtest.h>

#include "tests/support/test_ca.hpp"

namespace rap::net {
namespace {

using test::CertificateWish;
using test::TestCa;

SystemTime now() {
  return RealClock().now();
}

TEST(X509, ReadsTheFactsOfANodeCertificate) {
  const TestCa ca;
  CertificateWish wish;
  wish.common_name = "node";
  wish.subject_alt_name = "URI:spiffe://cls_1/node/nod_1,DNS:a.example";
  const TlsIdentity identity = ca.issue(wish);
  const auto facts = parse_certificate_pem(identity.certificate_pem);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->common_name, "node");
  EXPECT_EQ(facts->spiffe_uri, "spiffe://cls_1/node/nod_1");
  EXPECT_EQ(facts->dns_names, std::vector<std::string>{"a.example"});
  EXPECT_EQ(facts->spki_sha256, *key_spki_sha256(identity.key_pem));
  EXPECT_EQ(facts->serial_hex.substr(0, 2), "41");
  EXPECT_FALSE(facts->is_ca);
  EXPECT_LT(facts->not_before, now());
  EXPECT_GT(facts->not_after, now());
  EXPECT_EQ(parse_certificate_der(facts->der)->sha256, facts->sha256);
  EXPECT_EQ(parse_certificates_pem(identity.certificate_pem)->size(), 2u);
  EXPECT_TRUE(parse_certificate_pem(ca.pem())->is_ca);
}

TEST(X509, TwoUrisAreNoIdentity) {
  const TestCa ca;
  for (const char* names : {"URI:spiffe://a/node/b,URI:spiffe://a/node/c", "URI:https://a/b",
                            "URI:spiffe://a/node/b,URI:https://x"}) {
    CertificateWish wish;
    wish.subject_alt_name = names;
    EXPECT_EQ(parse_certificate_pem(ca.issue(wish).certificate_pem)->spiffe_uri, "") << names;
  }
}

TEST(X509, VerifyChainSaysWhatIsWrong) {
  const TestCa ca("cluster");
  const TestCa other("cluster");
  const TlsIdentity identity = ca.issue(CertificateWish());
  const Bytes leaf = parse_certificate_pem(identity.certificate_pem)->der;
  const std::vector<Bytes> none;
  EXPECT_TRUE(verify_chain(leaf, none, ca.pem(), CertificateUse::client, now()));
  EXPECT_TRUE(verify_chain(leaf, none, other.pem() + ca.pem(), CertificateUse::server, now()));
  const std::chrono::hours day(24);
  EXPECT_EQ(verify_chain(leaf, none, ca.pem(), CertificateUse::client, now() + day).error().code,
            Errc::expired);
  EXPECT_EQ(verify_chain(leaf, none, ca.pem(), CertificateUse::client, now() - day).error().code,
            Errc::expired);
  EXPECT_EQ(verify_chain(leaf, none, other.pem(), CertificateUse::client, now()).error().code,
            Errc::mismatch);
  CertificateWish server_only;
  server_only.client = false;
  const Bytes server = parse_certificate_pem(ca.issue(server_only).certificate_pem)->der;
  EXPECT_EQ(verify_chain(server, none, ca.pem(), CertificateUse::client, now()).error().code,
            Errc::unauthorized);
  Bytes flipped = leaf;
  flipped[flipped.size() - 5] ^= 1;
  EXPECT_FALSE(verify_chain(flipped, none, ca.pem(), CertificateUse::client, now()));
  EXPECT_EQ(verify_chain(leaf, none, "", CertificateUse::client, now()).error().code,
            Errc::malformed);
  EXPECT_EQ(verify_chain({}, none, ca.pem(), CertificateUse::client, now()).error().code,
            Errc::malformed);
}

TEST(X509, RefusesHostilePem) {
  const TestCa ca;
  const std::string& good = ca.pem();
  std::string broken = good;
  broken[broken.size() / 2] = '!';
  for (const std::string& text :
       {std::string(), std::string("garbage"), std::string("-----BEGIN CERTIFICATE-----\n"),
        std::string("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), broken,
        good + broken, generate_p256_key_pem()}) {
    EXPECT_EQ(parse_certificates_pem(text).error().code, Errc::malformed) << text;
  }
  EXPECT_EQ(parse_certificates_pem(std::string(2 << 20, 'x')).error().code, Errc::too_large);
  std::string many;
  for (int i = 0; i < 257; ++i) many += good;
  EXPECT_EQ(parse_certificates_pem(many).error().code, Errc::too_large);
  Bytes trailing = parse_certificate_pem(good)->der;
  trailing.push_back(0);
  EXPECT_FALSE(parse_certificate_der(trailing));
}

TEST(X509, MakesRequestsAndIdentities) {
  const std::string key = generate_p256_key_pem();
  const auto csr = make_csr_pem(key, "node");
  ASSERT_TRUE(csr);
  EXPECT_NE(csr->find("BEGIN CERTIFICATE REQUEST"), std::string::npos);
  EXPECT_FALSE(make_csr_pem("garbage", "node"));
  const TlsIdentity identity = make_self_signed_identity("rapctl", std::chrono::hours(1));
  const auto facts = parse_certificate_pem(identity.certificate_pem);
  EXPECT_EQ(facts->common_name, "rapctl");
  EXPECT_LT(facts->not_after, now() + std::chrono::hours(2));
  EXPECT_EQ(facts->spki_sha256, *key_spki_sha256(identity.key_pem));
}

}  // namespace
}  // namespace rap::net
