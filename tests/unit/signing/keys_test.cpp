#include "signing/verify/keys.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "signing/sign/ed25519.hpp"
#include "signing/verify/canonical_json.hpp"
#include "tests/unit/signing/openssl_keys.hpp"

namespace {

using namespace rap;
using tuf::KeyScheme;
using tuf::PublicKey;
namespace json = boost::json;

constexpr std::string_view kMessage = "what is signed";

TEST(Keys, EcdsaP256UnderBothKeyTypes) {
  const auto pair = test::make_ec("P-256");
  const Bytes signature = test::sign_sha256(pair, kMessage);
  for (const char* type : {"ecdsa", "ecdsa-sha2-nistp256"}) {
    auto key =
        PublicKey::from_json(test::key_object(type, "ecdsa-sha2-nistp256", test::public_pem(pair)));
    ASSERT_TRUE(key) << key.error().text();
    EXPECT_EQ(key->scheme(), KeyScheme::ecdsa_p256_sha256);
    EXPECT_TRUE(key->verify(as_bytes(kMessage), signature));
    EXPECT_FALSE(key->verify(as_bytes("another"), signature));
    EXPECT_FALSE(key->verify(as_bytes(kMessage), Bytes{}));
    EXPECT_FALSE(key->verify(as_bytes(kMessage), Bytes(70, 1)));
  }
}

TEST(Keys, RsaPssWithAnySaltLength) {
  const auto pair = test::make_rsa(2048);
  auto key =
      PublicKey::from_json(test::key_object("rsa", "rsassa-pss-sha256", test::public_pem(pair)));
  ASSERT_TRUE(key) << key.error().text();
  for (int salt : {1, 32, 222}) {
    EXPECT_TRUE(key->verify(as_bytes(kMessage), test::sign_sha256(pair, kMessage, salt))) << salt;
  }
  EXPECT_FALSE(key->verify(as_bytes(kMessage), test::sign_sha256(pair, kMessage)))
      << "PKCS#1 v1.5 padding is another scheme";
}

TEST(Keys, Ed25519AgainstRfc8032) {
  // RFC 8032 section 7.1, test 2.
  const auto raw =
      from_hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c").value();
  const auto signature =
      from_hex(
          "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e45"
          "8f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")
          .value();
  EXPECT_TRUE(tuf::ed25519_verify(raw, as_bytes("\x72"), signature));
  EXPECT_FALSE(tuf::ed25519_verify(raw, as_bytes("\x73"), signature));
  EXPECT_FALSE(tuf::ed25519_verify(Bytes(31), as_bytes("\x72"), signature));
  EXPECT_FALSE(tuf::ed25519_verify(raw, as_bytes("\x72"), Bytes(63)));
  auto key = PublicKey::from_ed25519(raw);
  ASSERT_TRUE(key);
  EXPECT_TRUE(key->verify(as_bytes("\x72"), signature));
  EXPECT_EQ(key->ed25519_raw(), raw);
}

TEST(Keys, IdCoversUnknownMembersAndMaterialDoesNot) {
  json::object plain = test::key_object("ed25519", "ed25519", std::string(64, 'a'));
  json::object extended = plain;
  extended["x-note"] = "mine";
  auto a = PublicKey::from_json(plain);
  auto b = PublicKey::from_json(extended);
  ASSERT_TRUE(a && b);
  EXPECT_NE(a->id(), b->id());
  EXPECT_EQ(a->material(), b->material());
  EXPECT_EQ(a->id(), to_hex(sha256(*tuf::canonical_json(json::value(plain)))));
  EXPECT_EQ(b->to_json(), extended);
}

TEST(Keys, RefusesWhatMayNotVerify) {
  const std::string p256 = test::public_pem(test::make_ec("P-256"));
  const std::string p384 = test::public_pem(test::make_ec("P-384"));
  const std::string rsa1024 = test::public_pem(test::make_rsa(1024));
  const std::string rsa2048 = test::public_pem(test::make_rsa(2048));
  const std::string ed(64, 'a');
  const struct {
    const char* name;
    json::object object;
  } rows[] = {
      {"another curve", test::key_object("ecdsa", "ecdsa-sha2-nistp256", p384)},
      {"secp256k1", test::key_object("ecdsa", "ecdsa-sha2-nistp256",
                                     test::public_pem(test::make_ec("secp256k1")))},
      {"RSA 1024", test::key_object("rsa", "rsassa-pss-sha256", rsa1024)},
      {"RSA as EC", test::key_object("ecdsa", "ecdsa-sha2-nistp256", rsa2048)},
      {"EC as RSA", test::key_object("rsa", "rsassa-pss-sha256", p256)},
      {"PEM as Ed25519", test::key_object("ed25519", "ed25519", p256)},
      {"short Ed25519", test::key_object("ed25519", "ed25519", ed.substr(2))},
      {"long Ed25519", test::key_object("ed25519", "ed25519", ed + "aa")},
      {"not hex", test::key_object("ed25519", "ed25519", std::string(64, 'g'))},
      {"empty PEM", test::key_object("rsa", "rsassa-pss-sha256", "")},
      {"cut PEM", test::key_object("ecdsa", "ecdsa-sha2-nistp256", p256.substr(0, 80))},
      {"huge PEM", test::key_object("rsa", "rsassa-pss-sha256", std::string(1 << 20, 'A'))},
      {"no keyval", {{"keytype", "ed25519"}, {"scheme", "ed25519"}}},
      {"keyval text", {{"keytype", "ed25519"}, {"scheme", "ed25519"}, {"keyval", ed}}},
      {"public number",
       {{"keytype", "ed25519"}, {"scheme", "ed25519"}, {"keyval", {{"public", 7}}}}},
      {"no scheme", {{"keytype", "ed25519"}, {"keyval", {{"public", ed}}}}},
      {"float beside it",
       {{"keytype", "ed25519"}, {"scheme", "ed25519"}, {"keyval", {{"public", ed}}}, {"x", 1.5}}},
  };
  for (const auto& row : rows) EXPECT_FALSE(PublicKey::from_json(row.object)) << row.name;
}

TEST(Keys, AKeyOfTheFutureIsCarriedButVerifiesNothing) {
  auto key = PublicKey::from_json(test::key_object("ml-dsa", "ml-dsa-65", "00"));
  ASSERT_TRUE(key);
  EXPECT_EQ(key->scheme(), KeyScheme::unknown);
  EXPECT_FALSE(key->verify(as_bytes(kMessage), Bytes(64)));
}

class KeyFile : public testing::Test {
 protected:
  KeyFile() {
    char name[] = "/tmp/rap-keys-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~KeyFile() override { std::filesystem::remove_all(directory_); }
  std::filesystem::path directory_;
};

TEST_F(KeyFile, ComesBackOnlyWithItsPassphrase) {
  const auto key = sign::Ed25519Key::generate();
  const auto path = directory_ / "a.key";
  const Secret good(std::string_view("correct horse"));
  ASSERT_TRUE(sign::save_key(path, key, good));
  auto back = sign::load_key(path, good);
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(back->key_id(), key.key_id());
  EXPECT_TRUE(
      tuf::ed25519_verify(key.public_raw(), as_bytes(kMessage), back->sign(as_bytes(kMessage))));
  auto wrong = sign::load_key(path, Secret(std::string_view("wrong horse")));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Errc::unauthorized);
}

TEST_F(KeyFile, IsPrivateAndNeverReplaced) {
  const auto key = sign::Ed25519Key::generate();
  const auto path = directory_ / "a.key";
  const Secret secret(std::string_view("x"));
  ASSERT_TRUE(sign::save_key(path, key, secret));
  EXPECT_EQ(std::filesystem::status(path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  auto again = sign::save_key(path, key, secret);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::conflict);
  std::filesystem::permissions(path, std::filesystem::perms(0640));
  auto open = sign::load_key(path, secret);
  ASSERT_FALSE(open);
  EXPECT_EQ(open.error().code, Errc::forbidden);
  EXPECT_FALSE(sign::save_key(directory_ / "b.key", key, Secret()));
}

TEST_F(KeyFile, RefusesDamage) {
  const Secret secret(std::string_view("x"));
  auto pem = sign::encrypt_key(sign::Ed25519Key::generate(), secret);
  ASSERT_TRUE(pem);
  EXPECT_EQ(pem->find("ENCRYPTED PRIVATE KEY"), 11u);
  std::string flipped = *pem;
  flipped[pem->size() - 50] = flipped[pem->size() - 50] == 'A' ? 'B' : 'A';
  for (const std::string& text :
       {std::string(), std::string("hello"), pem->substr(0, 100), flipped}) {
    EXPECT_FALSE(sign::decrypt_key(text, secret)) << text;
  }
}

}  // namespace
