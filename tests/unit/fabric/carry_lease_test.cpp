#include "fabric/carry_lease.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/id.hpp"
#include "fabric/lease.hpp"

namespace rap::fabric {
namespace {

namespace json = boost::json;
using routing::ChannelClass;

constexpr std::int64_t kNow = 1'800'000'000;
constexpr JwsKind kKind{"rap-carry+jwt", "carry lease"};
const std::string kIssuer = "cls_1";

class CarryLeaseTest : public ::testing::Test {
 protected:
  Bytes key = random_bytes(32);
  Bytes public_key = *lease_public_key(key);
  LeaseKey verify_key{lease_key_id(public_key), public_key};
  Sha256Digest certificate = sha256(std::string_view("certificate"));
  MeshTarget service{MeshTarget::Kind::service, new_id_text("svc_")};
  MeshTarget node{MeshTarget::Kind::node, new_id_text("nod_")};
  CarryVerifier verifier = *CarryVerifier::create(kIssuer, {verify_key});

  CarryClaims claims() const {
    CarryClaims out;
    out.issuer = kIssuer;
    out.target = service;
    out.user_id = "usr_1";
    out.organization_id = "org_1";
    out.session_id = "ses_1";
    out.issued_at = kNow;
    out.expires_at = kNow + kCarryLifeMaxS;
    out.client_certificate_sha256 = certificate;
    return out;
  }
  CarryClaims trace() const {
    CarryClaims out = claims();
    out.verb = CarryVerb::trace;
    out.target = node;
    out.organization_id.clear();
    out.session_id.clear();
    return out;
  }
  CarryUse use() const { return {service, ChannelClass::interactive, &certificate}; }

  Errc refused(const std::string& lease, const CarryUse& as, std::int64_t now = kNow) const {
    const auto result = verifier.verify(lease, as, from_unix_seconds(now));
    EXPECT_FALSE(result) << lease;
    return result ? Errc::internal : result.error().code;
  }
};

TEST_F(CarryLeaseTest, WhatIsMintedIsVerifiedAgainAndAgain) {
  const auto lease = mint_carry_lease(claims(), key);
  ASSERT_TRUE(lease) << lease.error().text();
  for (const std::int64_t at : {0, 1, 3600, 12 * 3600}) {
    const auto read = verifier.verify(*lease, use(), from_unix_seconds(kNow + at));
    ASSERT_TRUE(read) << read.error().text();
    EXPECT_EQ(read->target, service);
    EXPECT_EQ(read->session_id, "ses_1");
    EXPECT_EQ(read->verb, CarryVerb::carry);
  }
}

TEST_F(CarryLeaseTest, BindsToTheClientWhereItIsSeen) {
  const std::string lease = *mint_carry_lease(claims(), key);
  const Sha256Digest thief = sha256(std::string_view("thief"));
  EXPECT_EQ(refused(lease, {service, ChannelClass::interactive, &thief}), Errc::mismatch);
  EXPECT_TRUE(verifier.verify(lease, {service, ChannelClass::interactive, nullptr},
                              from_unix_seconds(kNow)));
}

TEST_F(CarryLeaseTest, RefusesWhatIsForSomethingElse) {
  const std::string lease = *mint_carry_lease(claims(), key);
  CarryUse other = use();
  other.target.id = new_id_text("svc_");
  EXPECT_EQ(refused(lease, other), Errc::mismatch);
  other.target = {MeshTarget::Kind::node, service.id};
  EXPECT_EQ(refused(lease, other), Errc::mismatch);
  CarryClaims foreign = claims();
  foreign.issuer = "cls_2";
  EXPECT_EQ(refused(*mint_carry_lease(foreign, key), use()), Errc::mismatch);
  EXPECT_EQ(refused(*mint_carry_lease(claims(), random_bytes(32)), use()), Errc::unauthorized);
}

TEST_F(CarryLeaseTest, HoldsToTheClasses) {
  CarryUse bulk = use();
  bulk.channel_class = ChannelClass::bulk;
  EXPECT_EQ(refused(*mint_carry_lease(claims(), key), bulk), Errc::forbidden);
  CarryClaims both = claims();
  both.bulk = true;
  EXPECT_TRUE(verifier.verify(*mint_carry_lease(both, key), bulk, from_unix_seconds(kNow)));
}

TEST_F(CarryLeaseTest, TimeIsToleratedByFiveSecondsOnly) {
  const std::string lease = *mint_carry_lease(claims(), key);
  EXPECT_TRUE(verifier.verify(lease, use(), from_unix_seconds(kNow - 5)));
  EXPECT_TRUE(verifier.verify(lease, use(), from_unix_seconds(kNow + kCarryLifeMaxS + 5)));
  EXPECT_EQ(refused(lease, use(), kNow - 6), Errc::expired);
  EXPECT_EQ(refused(lease, use(), kNow + kCarryLifeMaxS + 6), Errc::expired);
}

TEST_F(CarryLeaseTest, OneKindOfLeaseIsNotTheOther) {
  LeaseClaims session;
  session.issuer = kIssuer;
  session.audience = service_spiffe(kIssuer, service.id);
  session.user_id = "usr_1";
  session.user_name = "Ann";
  session.issued_at = kNow;
  session.expires_at = kNow + 30;
  session.session_id = "ses_1";
  session.organization_id = "org_1";
  session.resource_id = "res_1";
  session.client_certificate_sha256 = certificate;
  const std::string lease = *mint_lease(session, key);
  EXPECT_EQ(refused(lease, use()), Errc::unsupported);
  const auto verifier_of_sessions = LeaseVerifier::create(kIssuer, session.audience, {verify_key});
  // A session lease may be for a service: the other verifier takes it.
  EXPECT_TRUE(verifier_of_sessions->verify(lease, certificate, from_unix_seconds(kNow)));
  EXPECT_EQ(verifier_of_sessions
                ->verify(*mint_carry_lease(claims(), key), certificate, from_unix_seconds(kNow))
                .error()
                .code,
            Errc::unsupported);
}

TEST_F(CarryLeaseTest, RefusesEveryFlippedBitAndCut) {
  const std::string lease = *mint_carry_lease(claims(), key);
  const auto holds = [&](const std::string& text) {
    return verifier.verify(text, use(), from_unix_seconds(kNow)).has_value();
  };
  ASSERT_TRUE(holds(lease));
  for (std::size_t i = 0; i < lease.size(); ++i) {
    for (const char bit : {1, 4}) {
      std::string changed = lease;
      changed[i] = static_cast<char>(changed[i] ^ bit);
      EXPECT_FALSE(holds(changed)) << i;
    }
    EXPECT_FALSE(holds(lease.substr(0, i))) << i;
  }
  EXPECT_EQ(refused("", use()), Errc::malformed);
  EXPECT_EQ(refused(std::string(4097, 'a'), use()), Errc::too_large);
}

TEST_F(CarryLeaseTest, RefusesSignedPayloadsThatBreakTheContract) {
  const auto changed = [&](const CarryClaims& from, const char* name, json::value value) {
    json::object object = carry_claims_to_json(from);
    object[name] = std::move(value);
    return *sign_jws(kKind, json::serialize(object), key);
  };
  EXPECT_TRUE(verifier.verify(changed(claims(), "later", "unknown claims are let be"), use(),
                              from_unix_seconds(kNow)));
  const std::string mesh = mesh_spiffe(kIssuer, node.id);
  const std::pair<const char*, json::value> cases[] = {
      {"exp", kNow + kCarryLifeMaxS + 1},
      {"exp", kNow},
      {"exp", 1e300},
      {"exp", 9223372036854775807},
      {"iat", -1},
      {"nbf", kNow + 1},
      {"verb", "steal"},
      {"verb", "trace"},  // with a session
      {"verb", nullptr},
      {"aud", json::string(mesh)},  // a node, and not for trace
      {"aud", "spiffe://cls_1/service/"},
      {"aud", "spiffe://cls_1/service/svc_1"},
      {"aud", json::string(service_spiffe(kIssuer, service.id) + "/")},
      {"aud", json::string(service_spiffe("cls_2", service.id))},
      {"aud", json::string(entry_spiffe(kIssuer))},
      {"aud", 1},
      {"sid", ""},
      {"org", ""},
      {"sub", ""},
      {"sub", json::string(600, 's')},
      {"classes", json::array{}},
      {"classes", json::array{"bulk"}},
      {"classes", json::array{"bulk", "interactive"}},
      {"classes", json::array{"interactive", "interactive"}},
      {"classes", json::array{"interactive", "bulk", "bulk"}},
      {"classes", json::array{1}},
      {"classes", "interactive"},
      {"classes", nullptr},
      {"cnf", json::object()},
      {"cnf", json::object{{"x5t#S256", "AAAA"}}},
  };
  for (const auto& [name, value] : cases) {
    EXPECT_EQ(refused(changed(claims(), name, value), use()), Errc::malformed)
        << name << json::serialize(value);
  }
  for (const char* payload : {"", "[]", "null", "{", "{}", "{\"iss\":1,\"iss\":2}"}) {
    EXPECT_EQ(refused(*sign_jws(kKind, payload, key), use()), Errc::malformed) << payload;
  }
}

TEST_F(CarryLeaseTest, ATraceMayGoToANodeAndBelongsToNoSession) {
  const auto lease = mint_carry_lease(trace(), key);
  ASSERT_TRUE(lease) << lease.error().text();
  const auto read = verifier.verify(*lease, {node, ChannelClass::interactive, &certificate},
                                    from_unix_seconds(kNow));
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->verb, CarryVerb::trace);
  CarryClaims bad = trace();
  bad.session_id = "ses_1";
  EXPECT_EQ(mint_carry_lease(bad, key).error().code, Errc::invalid);
  bad = claims();
  bad.target = node;
  EXPECT_EQ(mint_carry_lease(bad, key).error().code, Errc::invalid);
  bad = claims();
  bad.expires_at = kNow + kCarryLifeMaxS + 1;
  EXPECT_EQ(mint_carry_lease(bad, key).error().code, Errc::invalid);
  bad = claims();
  bad.target.id = "svc_1";
  EXPECT_EQ(mint_carry_lease(bad, key).error().code, Errc::invalid);
}

TEST(MeshNames, AreReadOnlyAsTheyAreWritten) {
  const std::string id = "01k00000000000000000000000";
  const MeshTarget service{MeshTarget::Kind::service, "svc_" + id};
  const MeshTarget node{MeshTarget::Kind::node, "nod_" + id};
  EXPECT_EQ(mesh_authority(service), "svc_" + id + ".service.rap.internal:1");
  EXPECT_EQ(mesh_target_of_authority(mesh_authority(service)), service);
  EXPECT_EQ(mesh_target_of_authority(mesh_authority(node)), node);
  EXPECT_EQ(target_of_spiffe("cls_1", target_spiffe("cls_1", service)), service);
  EXPECT_EQ(target_spiffe("cls_1", node), "spiffe://cls_1/node/nod_" + id + "/mesh");
  EXPECT_EQ(target_of_spiffe("cls_1", target_spiffe("cls_1", node)), node);
  for (const std::string& text :
       {std::string(), std::string(".service.rap.internal:1"),
        "nod_" + id + ".service.rap.internal:1", "svc_" + id + ".node.rap.internal:1",
        "svc_" + id + ".service.rap.internal:2", " svc_" + id + ".service.rap.internal:1",
        "svc_" + id + ".session.rap.internal:1", "SVC_" + id + ".service.rap.internal:1",
        std::string("example.com:443")}) {
    EXPECT_FALSE(mesh_target_of_authority(text)) << text;
  }
  for (const std::string& text :
       {std::string(), "spiffe://cls_1/node/nod_" + id,
        "spiffe://cls_1/service/svc_" + id + "/mesh", "spiffe://cls_1/service/nod_" + id,
        "spiffe://cls_2/service/svc_" + id, std::string("spiffe://cls_1/entry"),
        std::string("spiffe://cls_1/node//mesh"), std::string("spiffe://cls_1/node/mesh")}) {
    EXPECT_FALSE(target_of_spiffe("cls_1", text)) << text;
  }
}

}  // namespace
}  // namespace rap::fabric
