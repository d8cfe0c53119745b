#include "fabric/lease.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <boost/json.hpp>

#include "base/id.hpp"
#include "fabric/names.hpp"

namespace rap::fabric {
namespace {

namespace json = boost::json;

constexpr std::int64_t kNow = 1'800'000'000;
const std::string kIssuer = "cls_1";
const std::string kAudience = "spiffe://cls_1/node/nod_1";

SystemTime at(std::int64_t seconds) {
  return from_unix_seconds(seconds);
}

class LeaseTest : public ::testing::Test {
 protected:
  Bytes key = random_bytes(32);
  Bytes public_key = *lease_public_key(key);
  std::string kid = lease_key_id(public_key);
  Sha256Digest certificate = sha256(std::string_view("certificate"));
  LeaseVerifier verifier = *LeaseVerifier::create(kIssuer, kAudience, {LeaseKey{kid, public_key}});

  LeaseClaims claims() const {
    LeaseClaims out;
    out.issuer = kIssuer;
    out.audience = kAudience;
    out.user_id = "usr_1";
    out.user_name = "Åsa";
    out.issued_at = kNow;
    out.expires_at = kNow + 30;
    out.session_id = "ses_1";
    out.organization_id = "org_1";
    out.resource_id = "res_1";
    out.verb = LeaseVerb::attach;
    out.mode = LeaseMode::view;
    out.client_certificate_sha256 = certificate;
    return out;
  }

  // A lease with any header and payload, signed as it should be.
  std::string sign(const std::string& header, const std::string& payload) const {
    std::string text = to_base64url(as_bytes(header)) + "." + to_base64url(as_bytes(payload));
    EVP_PKEY* pkey =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size());
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    Bytes signature(64);
    std::size_t size = 64;
    EVP_DigestSignInit(context, nullptr, nullptr, nullptr, pkey);
    EVP_DigestSign(context, signature.data(), &size,
                   reinterpret_cast<const unsigned char*>(text.data()), text.size());
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(pkey);
    return text + "." + to_base64url(signature);
  }
  std::string header() const {
    return R"({"alg":"EdDSA","kid":")" + kid + R"(","typ":"rap-lease+jwt"})";
  }

  Errc refused(const std::string& lease, std::int64_t now = kNow) const {
    const auto result = verifier.verify(lease, certificate, at(now));
    EXPECT_FALSE(result) << lease;
    return result ? Errc::internal : result.error().code;
  }
};

TEST_F(LeaseTest, WhatIsMintedIsVerified) {
  const auto lease = mint_lease(claims(), key);
  ASSERT_TRUE(lease) << lease.error().text();
  const auto read = verifier.verify(*lease, certificate, at(kNow + 1));
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->user_name, "Åsa");
  EXPECT_EQ(read->session_id, "ses_1");
  EXPECT_EQ(read->verb, LeaseVerb::attach);
  EXPECT_EQ(read->mode, LeaseMode::view);
  EXPECT_EQ(read->lease_id.size(), 22u);
  EXPECT_NE(read->lease_id,
            verifier.verify(*mint_lease(claims(), key), certificate, at(kNow))->lease_id);
  EXPECT_EQ(lease_claims_from_json(lease_claims_to_json(*read))->lease_id, read->lease_id);
}

TEST_F(LeaseTest, TimeIsToleratedByFiveSecondsOnly) {
  const std::string lease = *mint_lease(claims(), key);
  EXPECT_TRUE(verifier.verify(lease, certificate, at(kNow - 5)));
  EXPECT_TRUE(verifier.verify(lease, certificate, at(kNow + 35)));
  EXPECT_EQ(refused(lease, kNow - 6), Errc::expired);
  EXPECT_EQ(refused(lease, kNow + 36), Errc::expired);
  EXPECT_EQ(refused(lease, kNow + 365 * 86400), Errc::expired);
  EXPECT_EQ(refused(lease, kNow - 365 * 86400), Errc::expired);
  EXPECT_EQ(refused(lease, 0), Errc::expired);
}

TEST_F(LeaseTest, RefusesWhatIsForSomebodyElse) {
  LeaseClaims other = claims();
  other.issuer = "cls_2";
  EXPECT_EQ(refused(*mint_lease(other, key)), Errc::mismatch);
  other = claims();
  other.audience = "spiffe://cls_1/node/nod_2";
  EXPECT_EQ(refused(*mint_lease(other, key)), Errc::mismatch);
  const auto stolen =
      verifier.verify(*mint_lease(claims(), key), sha256(std::string_view("thief")), at(kNow));
  ASSERT_FALSE(stolen);
  EXPECT_EQ(stolen.error().code, Errc::mismatch);
  EXPECT_EQ(refused(*mint_lease(claims(), random_bytes(32))), Errc::unauthorized);
}

TEST_F(LeaseTest, RefusesGamesWithTheHeader) {
  const std::string payload = json::serialize(lease_claims_to_json([&] {
    LeaseClaims c = claims();
    c.lease_id = to_base64url(random_bytes(16));
    return c;
  }()));
  ASSERT_TRUE(verifier.verify(sign(header(), payload), certificate, at(kNow)));
  const std::string headers[] = {
      "",
      "{}",
      "null",
      R"({"alg":"none","kid":")" + kid + R"(","typ":"rap-lease+jwt"})",
      R"({"alg":"HS256","kid":")" + kid + R"(","typ":"rap-lease+jwt"})",
      R"({"alg":"ES256","kid":")" + kid + R"(","typ":"rap-lease+jwt"})",
      R"({"alg":"EdDSA","kid":")" + kid + R"(","typ":"JWT"})",
      R"({"alg":"EdDSA","kid":")" + kid + R"("})",
      R"({"kid":")" + kid + R"(","alg":"EdDSA","typ":"rap-lease+jwt"})",
      R"({"alg":"EdDSA", "kid":")" + kid + R"(","typ":"rap-lease+jwt"})",
      R"({"alg":"EdDSA","kid":")" + kid + R"(","typ":"rap-lease+jwt","jwk":{}})",
      R"({"alg":"EdDSA","kid":")" + kid + R"(","typ":"rap-lease+jwt","crit":["b64"]})",
      R"({"alg":"EdDSA","kid":"../../../etc/pas","typ":"rap-lease+jwt"})",
      header() + " ",
  };
  for (const std::string& text : headers) {
    const Errc code = refused(sign(text, payload));
    EXPECT_TRUE(code == Errc::unsupported || code == Errc::malformed) << text;
  }
  EXPECT_EQ(
      refused(sign(R"({"alg":"EdDSA","kid":"0123456789abcdef","typ":"rap-lease+jwt"})", payload)),
      Errc::unauthorized);
}

TEST_F(LeaseTest, RefusesEveryFlippedBitAndCut) {
  const std::string lease = *mint_lease(claims(), key);
  for (std::size_t i = 0; i < lease.size(); ++i) {
    for (const char bit : {1, 4}) {
      std::string changed = lease;
      changed[i] = static_cast<char>(changed[i] ^ bit);
      EXPECT_FALSE(verifier.verify(changed, certificate, at(kNow))) << i;
    }
    EXPECT_FALSE(verifier.verify(lease.substr(0, i), certificate, at(kNow))) << i;
  }
  EXPECT_EQ(refused(lease + "."), Errc::malformed);
  EXPECT_EQ(refused(lease + "A"), Errc::malformed);
  EXPECT_EQ(refused(lease + "="), Errc::malformed);
  EXPECT_EQ(refused(" " + lease), Errc::malformed);
  EXPECT_EQ(refused(""), Errc::malformed);
  EXPECT_EQ(refused(std::string(4097, 'a')), Errc::too_large);
  EXPECT_EQ(refused(std::string(4096, '.')), Errc::malformed);
}

TEST_F(LeaseTest, RefusesSignedPayloadsThatBreakTheContract) {
  const auto changed = [&](const char* name, json::value value) {
    json::object object = lease_claims_to_json(claims());
    object["jti"] = to_base64url(random_bytes(16));
    object[name] = std::move(value);
    return sign(header(), json::serialize(object));
  };
  EXPECT_TRUE(
      verifier.verify(changed("later", "unknown claims are let be"), certificate, at(kNow)));
  const std::pair<const char*, json::value> cases[] = {
      {"jti", "short"},
      {"jti", nullptr},
      {"jti", json::value(json::string(22, '!'))},
      {"exp", kNow + 31},
      {"exp", kNow},
      {"exp", kNow - 1},
      {"exp", "2030"},
      {"exp", 1e300},
      {"exp", 9223372036854775807},
      {"iat", -1},
      {"iat", 1.5},
      {"nbf", kNow + 1},
      {"verb", "steal"},
      {"verb", json::array()},
      {"mode", "root"},
      {"sub", ""},
      {"sub", 5},
      {"sid", json::value(json::string(600, 's'))},
      {"cnf", "x"},
      {"cnf", json::object()},
      {"res", nullptr},
      {"cnf", json::object{{"x5t#S256", "AAAA"}}},
  };
  for (const auto& [name, value] : cases) {
    EXPECT_EQ(refused(changed(name, value)), Errc::malformed) << name << json::serialize(value);
  }
  for (const std::string payload : {"", "[]", "null", "{", "{}", "{\"iss\":1,\"iss\":2}"}) {
    EXPECT_EQ(refused(sign(header(), payload)), Errc::malformed) << payload;
  }
  EXPECT_EQ(refused(sign(header(), std::string(1000, '['))), Errc::malformed);
}

TEST_F(LeaseTest, MintRefusesWhatNoNodeWouldTake) {
  LeaseClaims bad = claims();
  bad.expires_at = kNow + 31;
  EXPECT_EQ(mint_lease(bad, key).error().code, Errc::invalid);
  bad = claims();
  bad.session_id.clear();
  EXPECT_EQ(mint_lease(bad, key).error().code, Errc::invalid);
  EXPECT_EQ(mint_lease(claims(), Bytes(31)).error().code, Errc::invalid);
}

TEST_F(LeaseTest, KeysMustCarryTheirOwnIds) {
  EXPECT_FALSE(
      LeaseVerifier::create(kIssuer, kAudience, {LeaseKey{"0123456789abcdef", public_key}}));
  EXPECT_FALSE(LeaseVerifier::create(kIssuer, kAudience, {LeaseKey{kid, Bytes(31)}}));
  EXPECT_FALSE(LeaseVerifier::create(kIssuer, kAudience,
                                     {LeaseKey{kid, public_key}, LeaseKey{kid, public_key}}));
  EXPECT_FALSE(LeaseVerifier::create("", kAudience, {}));
  const auto none = LeaseVerifier::create(kIssuer, kAudience, {});
  ASSERT_TRUE(none);
  EXPECT_EQ(none->verify(*mint_lease(claims(), key), certificate, at(kNow)).error().code,
            Errc::unauthorized);
}

TEST_F(LeaseTest, IsTakenOnceUntilItCannotBeValid) {
  LeaseReplayGuard guard(3);
  LeaseClaims one = claims();
  one.lease_id = "one";
  EXPECT_TRUE(guard.use(one, at(kNow)));
  EXPECT_EQ(guard.use(one, at(kNow + 34)).error().code, Errc::conflict);
  EXPECT_EQ(guard.use(one, at(kNow + 35)).error().code, Errc::conflict);
  for (const char* id : {"two", "three"}) {
    LeaseClaims more = claims();
    more.lease_id = id;
    EXPECT_TRUE(guard.use(more, at(kNow)));
  }
  LeaseClaims fourth = claims();
  fourth.lease_id = "four";
  EXPECT_EQ(guard.use(fourth, at(kNow)).error().code, Errc::exhausted);
  fourth.expires_at = kNow + 100;
  EXPECT_TRUE(guard.use(fourth, at(kNow + 36)));
  EXPECT_EQ(guard.size(), 1u);
}

TEST(Names, AuthorityAndHeaders) {
  const std::string id = SessionId::fresh().str();
  EXPECT_EQ(session_of_authority(session_authority(id)), id);
  for (const char* text :
       {"", ".session.rap.internal:1", "ses_x.session.rap.internal:1", "example.com:443"}) {
    EXPECT_FALSE(session_of_authority(text)) << text;
  }
  EXPECT_EQ(header_safe("a\r\nb\xff"), "a??b?");
  EXPECT_EQ(header_safe(std::string(1000, 'a')).size(), 300u);
}

}  // namespace
}  // namespace rap::fabric
