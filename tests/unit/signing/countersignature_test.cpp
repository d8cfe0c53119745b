#include "signing/verify/countersignature.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "signing/sign/countersign.hpp"
#include "signing/sign/director.hpp"
#include "tests/unit/signing/test_repository.hpp"

namespace {

using namespace rap;
using sign::Ed25519Key;
using test::kNow;
namespace json = boost::json;

class CountersignatureTest : public testing::Test {
 protected:
  CountersignatureTest() { release_ = release_with({&trust_a_, &trust_b_, &trust_c_}, 2); }

  // R's targets: a role that signs plugins and, with keys, the role `trust`.
  tuf::Targets release_with(const std::vector<const Ed25519Key*>& trust, std::int64_t threshold) {
    tuf::Targets out;
    tuf::Delegations delegations;
    const auto add = [&](std::string name, const std::vector<const Ed25519Key*>& keys,
                         std::int64_t needed) {
      tuf::DelegatedRole role;
      role.name = std::move(name);
      role.keys.threshold = needed;
      for (const Ed25519Key* key : keys) {
        role.keys.key_ids.push_back(key->key_id());
        delegations.keys.emplace(key->key_id(), key->public_key());
      }
      delegations.roles.push_back(std::move(role));
    };
    add("rel.plugin.rap", {&plugins_}, 1);
    if (!trust.empty()) add("trust", trust, threshold);
    out.delegations = std::move(delegations);
    return out;
  }

  sign::Draft root() const { return *sign::Draft::parse(as_bytes(root_)); }
  sign::Draft signed_by(const std::vector<const Ed25519Key*>& keys) const {
    sign::Draft draft = root();
    for (const Ed25519Key* key : keys) EXPECT_TRUE(draft.add_signature(*key));
    return draft;
  }
  std::string check(const std::string& file) const { return check(file, release_); }
  // Empty when it is believed; else what is said.
  std::string check(const std::string& file, const tuf::Targets& release) const {
    auto result = tuf::check_countersigned_root(as_bytes(file), cluster_.str(), release);
    return result ? "" : result.error().text();
  }
  std::string count(int have) const {
    return "bad_signature: director root of " + cluster_.str() + ": " + std::to_string(have) +
           " of 2 signatures of the release repository's role `trust`";
  }

  ClusterId cluster_ = ClusterId::fresh();
  Ed25519Key own_ = Ed25519Key::generate();
  Ed25519Key targets_ = Ed25519Key::generate();
  Ed25519Key snapshot_ = Ed25519Key::generate();
  Ed25519Key timestamp_ = Ed25519Key::generate();
  Ed25519Key trust_a_ = Ed25519Key::generate();
  Ed25519Key trust_b_ = Ed25519Key::generate();
  Ed25519Key trust_c_ = Ed25519Key::generate();
  Ed25519Key plugins_ = Ed25519Key::generate();
  Ed25519Key stranger_ = Ed25519Key::generate();
  std::string root_ = *sign::make_root(cluster_, {&own_}, 1, {&targets_, &snapshot_, &timestamp_},
                                       kNow + std::chrono::hours(24 * 365));
  tuf::Targets release_;
};

TEST_F(CountersignatureTest, TheThresholdOfTheTrustRoleIsNeeded) {
  EXPECT_EQ(check(root_), count(0));
  EXPECT_EQ(check(signed_by({&trust_a_}).file()), count(1));
  EXPECT_EQ(check(signed_by({&trust_a_, &trust_c_}).file()), "");
  EXPECT_EQ(check(signed_by({&trust_a_, &trust_b_, &trust_c_}).file()), "");
  EXPECT_EQ(check(signed_by({&trust_b_, &trust_c_, &stranger_}).file()), "") << "one more: no harm";
}

TEST_F(CountersignatureTest, OtherSignaturesCountNothing) {
  EXPECT_EQ(check(signed_by({&trust_a_, &plugins_}).file()), count(1)) << "a release key";
  EXPECT_EQ(check(signed_by({&trust_a_, &stranger_}).file()), count(1)) << "a key R does not know";
  EXPECT_EQ(check(signed_by({&trust_a_, &own_, &targets_}).file()), count(1)) << "D's own keys";
  sign::Draft borrowed = signed_by({&trust_a_, &stranger_});
  borrowed.set_signature(trust_b_.key_id(), borrowed.signatures().at(stranger_.key_id()));
  EXPECT_EQ(check(borrowed.file()), count(1)) << "a stranger's signature under a trust key's id";
  sign::Draft copied = signed_by({&trust_a_});
  copied.set_signature(trust_b_.key_id(), copied.signatures().at(trust_a_.key_id()));
  EXPECT_EQ(check(copied.file()), count(1)) << "one signature under two ids";
  for (const char* text : {"", "zz", "00"}) {
    sign::Draft broken = signed_by({&trust_a_});
    broken.set_signature(trust_b_.key_id(), text);
    EXPECT_EQ(check(broken.file()), count(1)) << text;
  }
}

TEST_F(CountersignatureTest, OneKeyUnderTwoIdsCountsOnce) {
  json::object object = trust_a_.public_key().to_json();
  object["note"] = "the same key again";
  const tuf::PublicKey twin = *tuf::PublicKey::from_json(object);
  tuf::Targets release = release_with({&trust_a_}, 1);
  release.delegations->keys.emplace(twin.id(), twin);
  tuf::RoleKeys& trust = release.delegations->roles.back().keys;
  trust.key_ids.push_back(twin.id());
  trust.threshold = 2;
  sign::Draft draft = signed_by({&trust_a_});
  draft.set_signature(twin.id(), draft.signatures().at(trust_a_.key_id()));
  EXPECT_EQ(check(draft.file(), release), count(1));
}

TEST_F(CountersignatureTest, ARepeatedKeyIdIsMalformed) {
  json::value file = json::parse(signed_by({&trust_a_}).file());
  json::array& signatures = file.at("signatures").as_array();
  signatures.push_back(json::value(signatures.back()));
  EXPECT_TRUE(check(json::serialize(file)).starts_with("malformed: "));
}

TEST_F(CountersignatureTest, AnotherBodyHasNoSignatures) {
  sign::Draft changed = signed_by({&trust_a_, &trust_b_});
  changed.body()["expires"] = "2036-01-01T00:00:00Z";
  EXPECT_EQ(check(changed.file()),
            "bad_signature: director root by its own keys: 0 valid signatures of 1");
  ASSERT_TRUE(changed.add_signature(own_));
  EXPECT_EQ(check(changed.file()), count(0)) << "signed again by the director alone";
  sign::Draft without_own = signed_by({&trust_a_, &trust_b_});
  without_own.clear_signatures();
  ASSERT_TRUE(without_own.add_signature(trust_a_));
  ASSERT_TRUE(without_own.add_signature(trust_b_));
  EXPECT_EQ(check(without_own.file()),
            "bad_signature: director root by its own keys: 0 valid signatures of 1");
}

// Each is signed by everyone who should, so that nothing but the row's change can refuse it.
TEST_F(CountersignatureTest, OnlyTheFirstRootOfThisClusterIsCountersigned) {
  const std::string names_none = "mismatch: director root: names no cluster";
  const ClusterId other = ClusterId::fresh();
  const std::vector<std::tuple<const char*, std::function<void(json::object&)>, std::string>> rows =
      {{"another cluster's", [&](auto& body) { body["cluster_id"] = other.str(); },
        "mismatch: director root: of " + other.str() + ", not of " + cluster_.str()},
       {"no cluster", [](auto& body) { body.erase("cluster_id"); }, names_none},
       {"empty", [](auto& body) { body["cluster_id"] = ""; }, names_none},
       {"steers the terminal", [](auto& body) { body["cluster_id"] = "cls_\x1b[2J"; }, names_none},
       {"a number", [](auto& body) { body["cluster_id"] = 1; }, "malformed: "},
       {"version 2", [](auto& body) { body["version"] = 2; },
        "mismatch: director root: version 2, only the first is countersigned"},
       {"threshold 0",
        [](auto& body) { body["roles"].as_object()["root"].as_object()["threshold"] = 0; },
        "malformed: "},
       {"not a root", [](auto& body) { body["_type"] = "targets"; }, "malformed: "}};
  for (const auto& [what, bend, said] : rows) {
    sign::Draft draft = root();
    draft.clear_signatures();
    bend(draft.body());
    for (const Ed25519Key* key : {&own_, &trust_a_, &trust_b_}) {
      ASSERT_TRUE(draft.add_signature(*key));
    }
    const std::string got = check(draft.file());
    EXPECT_TRUE(got.starts_with(said)) << what << ": " << got;
  }
  for (const char* text : {"", "{}", "[]", "null", "{\"signed\":{},\"signatures\":[]}"}) {
    EXPECT_TRUE(check(text).starts_with("malformed: ")) << text << ": " << check(text);
  }
}

TEST_F(CountersignatureTest, WithoutATrustRoleNobodyIsBelieved) {
  const std::string file = signed_by({&trust_a_, &trust_b_, &plugins_}).file();
  const std::string said = "bad_signature: director root of " + cluster_.str() +
                           ": the release repository has no role `trust`";
  EXPECT_EQ(check(file, release_with({}, 0)), said);
  EXPECT_EQ(check(file, tuf::Targets{}), said);
  tuf::Targets bins;
  bins.delegations = tuf::Delegations{};
  bins.delegations->succinct = tuf::SuccinctRoles{};
  EXPECT_EQ(check(file, bins), said);
}

class AddCountersignatures : public CountersignatureTest {
 protected:
  std::optional<Errc> refused(const std::string& stored, const std::string& offered) const {
    auto result = sign::add_countersignatures(stored, as_bytes(offered), release_);
    if (result) return std::nullopt;
    return result.error().code;
  }
};

TEST_F(AddCountersignatures, HoldersSignOneAfterAnotherOrSideBySide) {
  auto first =
      sign::add_countersignatures(root_, as_bytes(signed_by({&trust_a_}).file()), release_);
  ASSERT_TRUE(first) << first.error().text();
  EXPECT_EQ(first->count.key_ids, std::vector{trust_a_.key_id()});
  EXPECT_FALSE(first->count.enough());
  EXPECT_EQ(check(first->document), count(1));
  // The second holder's copy does not have the first one's signature.
  auto second = sign::add_countersignatures(first->document,
                                            as_bytes(signed_by({&trust_b_}).file()), release_);
  ASSERT_TRUE(second) << second.error().text();
  EXPECT_TRUE(second->count.enough());
  EXPECT_EQ(check(second->document), "");
  EXPECT_EQ(second->document, signed_by({&trust_a_, &trust_b_}).file());
  auto again = sign::add_countersignatures(second->document, as_bytes(root_), release_);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->document, second->document) << "nothing new, nothing lost";
}

TEST_F(AddCountersignatures, RefusesWhatNoHolderSigned) {
  sign::Draft changed = signed_by({&trust_a_});
  changed.body()["expires"] = "2036-01-01T00:00:00Z";
  ASSERT_TRUE(changed.add_signature(trust_a_));
  EXPECT_EQ(refused(root_, changed.file()), Errc::mismatch);
  EXPECT_EQ(refused(root_, signed_by({&trust_a_, &plugins_}).file()), Errc::bad_signature);
  EXPECT_EQ(refused(root_, signed_by({&stranger_}).file()), Errc::bad_signature);
  sign::Draft wrong = signed_by({&trust_a_});
  wrong.set_signature(trust_b_.key_id(), std::string(128, '0'));
  EXPECT_EQ(refused(root_, wrong.file()), Errc::bad_signature);
  EXPECT_EQ(refused(root_, "{}"), Errc::malformed);
  json::value many = json::parse(root_);
  for (int i = 0; i < 300; ++i) {
    many.at("signatures").as_array().push_back({{"keyid", std::to_string(i)}, {"sig", "00"}});
  }
  EXPECT_EQ(refused(root_, json::serialize(many)), Errc::too_large);
}

TEST_F(AddCountersignatures, TheDirectorsOwnSignatureStays) {
  sign::Draft bent = signed_by({&trust_a_});
  bent.set_signature(own_.key_id(), "00");
  auto merged = sign::add_countersignatures(root_, as_bytes(bent.file()), release_);
  ASSERT_TRUE(merged) << merged.error().text();
  EXPECT_EQ(merged->document, signed_by({&trust_a_}).file());
}

TEST_F(AddCountersignatures, SignaturesOfKeysThatLeftTheRoleGo) {
  const std::string stored = signed_by({&trust_a_, &trust_b_}).file();
  release_ = release_with({&trust_b_, &trust_c_}, 2);
  EXPECT_EQ(check(stored), count(1));
  auto merged = sign::add_countersignatures(
      stored, as_bytes(signed_by({&trust_a_, &trust_b_, &trust_c_}).file()), release_);
  ASSERT_TRUE(merged) << merged.error().text();
  EXPECT_EQ(merged->document, signed_by({&trust_b_, &trust_c_}).file());
}

}  // namespace
