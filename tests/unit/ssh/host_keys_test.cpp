#include "plugins/ssh/host_keys.hpp"

#include <gtest/gtest.h>

#include <string>

#include <rap/rap.hpp>

namespace rap::ssh {
namespace {

Key make_key(ssh_keytypes_e type, int bits) {
  ssh_key key = nullptr;
  EXPECT_EQ(ssh_pki_generate(type, bits, &key), SSH_OK);
  return Key(key);
}

std::string text_of(const Key& key) {
  char* base64 = nullptr;
  EXPECT_EQ(ssh_pki_export_pubkey_base64(key.get(), &base64), SSH_OK);
  std::string out = std::string(ssh_key_type_to_char(ssh_key_type(key.get()))) + " " + base64;
  ssh_string_free_char(base64);
  return out;
}

TEST(HostKeys, TrustsWhatIsListedAndNothingElse) {
  const Key listed = make_key(SSH_KEYTYPE_ED25519, 0);
  const Key other = make_key(SSH_KEYTYPE_ED25519, 0);
  const HostKeys keys({text_of(listed) + " comment"});
  EXPECT_NO_THROW(keys.check(listed.get()));
  try {
    keys.check(other.get());
    FAIL() << "a key that is not listed was trusted";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code, RAP_E_DENIED);
    EXPECT_NE(std::string(failure.what()).find(fingerprint(other.get())), std::string::npos);
  }
}

TEST(HostKeys, PrefersTheListedKindsAndStillAsksForTheOthers) {
  const HostKeys keys({text_of(make_key(SSH_KEYTYPE_RSA, 2048))});
  EXPECT_EQ(keys.algorithms(),
            "rsa-sha2-512,rsa-sha2-256,ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,"
            "ecdsa-sha2-nistp521");
}

TEST(HostKeys, RefusesWhatIsNoKey) {
  const std::string good = text_of(make_key(SSH_KEYTYPE_ED25519, 0));
  for (const std::string& bad :
       {std::string("ssh-ed25519"), std::string("ssh-ed25519 "), std::string("ssh-ed25519 AAAA"),
        std::string("example.com ") + good, std::string("ssh-dss AAAAB3NzaC1kc3M="),
        std::string("ssh-rsa ") + good.substr(12), std::string("* *")}) {
    EXPECT_THROW(HostKeys({good, bad}), Failure) << bad;
  }
}

}  // namespace
}  // namespace rap::ssh
