#include "signing/sign/director.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/crypto.hpp"
#include "signing/verify/updater.hpp"
#include "tests/unit/signing/test_repository.hpp"

namespace {

using namespace rap;
using rap::test::kNow;
using std::chrono::hours;

class DirectorTest : public testing::Test {
 protected:
  DirectorTest() {
    char name[] = "/tmp/rap-director-XXXXXX";
    directory_ = ::mkdtemp(name);
    root_ = *sign::make_root(ClusterId::fresh(), {&root_a_, &root_b_}, 2, keys_,
                             kNow + hours(24 * 365));
    fetcher_.files["t/" + sign::consistent_target_name("snap/roles.json", digest_)] = content_;
  }
  ~DirectorTest() override { std::filesystem::remove_all(directory_); }

  void serve(const sign::DirectorMetadata& set) {
    for (const auto& [name, file] : set.files) fetcher_.files["m/" + name] = file;
  }

  tuf::TufClient client() {
    tuf::TufClientConfig config;
    config.metadata_dir = directory_;
    config.metadata_url = "m";
    config.targets_url = "t";
    return tuf::TufClient(config, fetcher_, clock_);
  }

  sign::Ed25519Key root_a_ = sign::Ed25519Key::generate();
  sign::Ed25519Key root_b_ = sign::Ed25519Key::generate();
  sign::Ed25519Key targets_ = sign::Ed25519Key::generate();
  sign::Ed25519Key snapshot_ = sign::Ed25519Key::generate();
  sign::Ed25519Key timestamp_ = sign::Ed25519Key::generate();
  sign::DirectorKeys keys_{&targets_, &snapshot_, &timestamp_};
  sign::DirectorSigner signer_{keys_};
  std::string content_ = "{\"format\":1}";
  std::string digest_ = to_hex(sha256(content_));
  std::vector<sign::DirectorTarget> list_{{"snap/roles.json",
                                           static_cast<std::int64_t>(content_.size()), digest_,
                                           R"({"node_id":"nod_1","authority_term":1})"}};
  std::filesystem::path directory_;
  std::string root_;
  test::MemoryFetcher fetcher_;
  test::FixedClock clock_;
};

TEST_F(DirectorTest, ANodeAcceptsWhatTheDirectorSigned) {
  auto set = signer_.sign(list_, {}, kNow);
  ASSERT_TRUE(set) << set.error().text();
  EXPECT_EQ(set->versions.targets, to_unix_seconds(kNow));
  serve(*set);
  ASSERT_TRUE(tuf::TufClient::init(directory_, as_bytes(root_)));
  auto node = client();
  auto status = node.refresh();
  ASSERT_TRUE(status) << status.error().text();
  auto target = node.find_target("snap/roles.json");
  ASSERT_TRUE(target && *target);
  EXPECT_EQ((*target)->custom, R"({"authority_term":1,"node_id":"nod_1"})");
  auto bytes = node.fetch_bytes(**target, 1000);
  ASSERT_TRUE(bytes) << bytes.error().text();
  EXPECT_EQ(as_text(*bytes), content_);
  EXPECT_EQ(node.top_level_targets().size(), 1u);
  EXPECT_EQ(node.expires_at(), kNow + hours(1));
}

TEST_F(DirectorTest, VersionsNeverGoBackEvenWhenTheClockDoes) {
  auto first = signer_.sign(list_, {}, kNow);
  auto second = signer_.sign(list_, first->versions, kNow - hours(100));
  EXPECT_EQ(second->versions.targets, first->versions.targets + 1);
  EXPECT_EQ(second->versions.snapshot, first->versions.snapshot + 1);
  EXPECT_EQ(second->versions.timestamp, first->versions.timestamp + 1);
  // A lost database: no memory of earlier versions, but time has passed.
  auto third = signer_.sign(list_, {}, kNow + hours(1));
  EXPECT_GT(third->versions.timestamp, second->versions.timestamp);
}

TEST_F(DirectorTest, RefreshesTheTimestampAlone) {
  auto first = signer_.sign(list_, {}, kNow);
  auto second = signer_.refresh_timestamp(*first, kNow + hours(2));
  ASSERT_TRUE(second) << second.error().text();
  serve(*second);
  ASSERT_TRUE(tuf::TufClient::init(directory_, as_bytes(root_)));
  clock_.time = kNow + hours(2);
  auto node = client();
  ASSERT_TRUE(node.refresh());
  EXPECT_EQ(node.versions().targets, first->versions.targets);
  EXPECT_GT(node.versions().timestamp, first->versions.timestamp);

  auto late = signer_.refresh_timestamp(*first, kNow + hours(24));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::expired);
}

TEST_F(DirectorTest, ANodeStartsFromWhatItStoredWhenThereIsNoNetwork) {
  serve(*signer_.sign(list_, {}, kNow));
  ASSERT_TRUE(tuf::TufClient::init(directory_, as_bytes(root_)));
  ASSERT_TRUE(client().refresh());
  clock_.time = kNow + hours(1000);  // everything has expired; keep running on what is known
  fetcher_.files.clear();
  fetcher_.requests.clear();
  auto node = client();
  auto status = node.load_stored();
  ASSERT_TRUE(status) << status.error().text();
  auto target = node.find_target("snap/roles.json");
  EXPECT_TRUE(target && *target);
  EXPECT_LT(node.expires_at(), clock_.time);
  EXPECT_TRUE(fetcher_.requests.empty());
}

TEST_F(DirectorTest, RefusesTargetsThatMayNotBe) {
  const std::vector<std::pair<const char*, sign::DirectorTarget>> rows = {
      {"parent", {"../x", 1, digest_, "{}"}},
      {"absolute", {"/x", 1, digest_, "{}"}},
      {"negative", {"x", -1, digest_, "{}"}},
      {"short hash", {"x", 1, "00", "{}"}},
      {"upper hash", {"x", 1, std::string(64, 'A'), "{}"}},
      {"custom array", {"x", 1, digest_, "[]"}},
      {"custom broken", {"x", 1, digest_, "{"}},
      {"custom float", {"x", 1, digest_, R"({"a":1.5})"}},
  };
  for (const auto& [name, target] : rows) EXPECT_FALSE(signer_.sign({target}, {}, kNow)) << name;
  EXPECT_FALSE(signer_.sign({list_[0], list_[0]}, {}, kNow)) << "twice";
}

TEST_F(DirectorTest, RootNeedsAReachableThreshold) {
  EXPECT_FALSE(sign::make_root(ClusterId::fresh(), {&root_a_}, 2, keys_, kNow));
  EXPECT_FALSE(sign::make_root(ClusterId::fresh(), {&root_a_}, 0, keys_, kNow));
  EXPECT_FALSE(sign::make_root(ClusterId::fresh(), {}, 1, keys_, kNow));
}

}  // namespace
