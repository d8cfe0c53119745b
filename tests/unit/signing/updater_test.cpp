#include "signing/verify/updater.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>

#include <boost/json.hpp>

#include "base/file.hpp"
#include "tests/unit/signing/test_repository.hpp"

namespace {

using namespace rap;
using std::chrono::hours;
using test::kNow;
namespace json = boost::json;

class UpdaterTest : public testing::Test {
 protected:
  UpdaterTest() {
    char name[] = "/tmp/rap-updater-XXXXXX";
    directory_ = ::mkdtemp(name);
    std::filesystem::create_directory(metadata());
    std::filesystem::create_directory(targets());
    EXPECT_TRUE(
        tuf::TufClient::init(metadata(), as_bytes(repository_.fetcher.files["m/1.root.json"])));
  }
  ~UpdaterTest() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path metadata() const { return directory_ / "metadata"; }
  std::filesystem::path targets() const { return directory_ / "targets"; }

  tuf::TufClientConfig config() const {
    tuf::TufClientConfig config;
    config.metadata_dir = metadata();
    config.metadata_url = "m";
    config.targets_dir = targets();
    config.targets_url = "t";
    return config;
  }
  tuf::TufClient client() { return tuf::TufClient(config(), repository_.fetcher, clock_); }

  // The error's code of a refresh; nullopt: it succeeded.
  std::optional<Errc> refresh() {
    auto status = client().refresh();
    return status ? std::nullopt : std::optional(status.error().code);
  }

  std::string stored(const char* role) {
    return read_text_file(metadata() / (std::string(role) + ".json"), 1 << 20).value_or("");
  }

  test::TestRepository repository_;
  test::FixedClock clock_;
  std::filesystem::path directory_;
};

TEST_F(UpdaterTest, StoresWhatItReceivedByteForByte) {
  ASSERT_EQ(refresh(), std::nullopt);
  EXPECT_EQ(stored("timestamp"), repository_.fetcher.files["m/timestamp.json"]);
  EXPECT_EQ(stored("snapshot"), repository_.fetcher.files["m/1.snapshot.json"]);
  EXPECT_EQ(stored("targets"), repository_.fetcher.files["m/1.targets.json"]);
  const std::vector<std::string> want = {"m/2.root.json", "m/timestamp.json", "m/1.snapshot.json",
                                         "m/1.targets.json"};
  EXPECT_EQ(repository_.fetcher.requests, want);
  repository_.fetcher.requests.clear();
  ASSERT_EQ(refresh(), std::nullopt);
  const std::vector<std::string> again = {"m/2.root.json", "m/timestamp.json"};
  EXPECT_EQ(repository_.fetcher.requests, again);
}

TEST_F(UpdaterTest, KeepsNoStrayFilesBesideTheMetadata) {
  repository_.publish("root");
  ASSERT_EQ(refresh(), std::nullopt);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(metadata())) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  const std::vector<std::string> want = {"root.json", "root_history", "snapshot.json",
                                         "targets.json", "timestamp.json"};
  EXPECT_EQ(names, want);
  EXPECT_TRUE(std::filesystem::exists(metadata() / "root_history/1.root.json"));
  EXPECT_TRUE(std::filesystem::exists(metadata() / "root_history/2.root.json"));
}

TEST_F(UpdaterTest, RefusesRollbackOfEveryRole) {
  for (const auto& [role, body] : std::map<std::string, json::object>(repository_.bodies)) {
    if (role != "root") repository_.publish(role);
  }
  repository_.publish("snapshot");
  repository_.publish("timestamp");
  ASSERT_EQ(refresh(), std::nullopt);

  const std::string good = repository_.fetcher.files["m/timestamp.json"];
  repository_.publish("timestamp", [](json::object& body) { body["version"] = 1; });
  EXPECT_EQ(refresh(), Errc::rollback) << "timestamp";
  EXPECT_EQ(stored("timestamp"), good);

  repository_.bodies["timestamp"]["version"] = 50;
  repository_.publish("timestamp", [](json::object& body) {
    body["meta"].as_object()["snapshot.json"].as_object()["version"] = 1;
  });
  EXPECT_EQ(refresh(), Errc::rollback) << "snapshot named by timestamp";
  EXPECT_EQ(stored("timestamp"), good);

  repository_.publish("targets", [](json::object& body) { body["version"] = 1; });
  repository_.publish("snapshot");
  repository_.publish("timestamp");
  EXPECT_EQ(refresh(), Errc::rollback) << "targets named by snapshot";
}

TEST_F(UpdaterTest, FixedStartTimeDecidesExpiry) {
  clock_.time = kNow + hours(24);  // the very second of expiry counts as expired
  EXPECT_EQ(refresh(), Errc::expired);
  clock_.time = kNow + hours(24) - std::chrono::seconds(1);
  EXPECT_EQ(refresh(), std::nullopt);
}

TEST_F(UpdaterTest, AnEqualTimestampThatHasExpiredIsNoSuccess) {
  ASSERT_EQ(refresh(), std::nullopt);
  clock_.time = kNow + hours(25);
  repository_.publish("root",
                      [](json::object& body) { body["expires"] = to_rfc3339(kNow + hours(1000)); });
  EXPECT_EQ(refresh(), Errc::expired);
  EXPECT_EQ(client().versions().root, 0) << "nothing is trusted before a refresh";
}

TEST_F(UpdaterTest, OnlyNotFoundEndsTheSearchForNewerRoots) {
  for (Errc error : {Errc::unavailable, Errc::timeout, Errc::too_large}) {
    repository_.fetcher.failures["m/2.root.json"] = error;
    EXPECT_EQ(refresh(), error);
  }
  repository_.fetcher.failures.clear();
  EXPECT_EQ(refresh(), std::nullopt);
}

TEST_F(UpdaterTest, StopsAfterTheAllowedNumberOfNewRoots) {
  auto limited = config();
  limited.limits.root_steps = 3;
  for (int i = 0; i < 3; ++i) repository_.publish("root");
  tuf::TufClient client(limited, repository_.fetcher, clock_);
  auto status = client.refresh();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::too_large);
  // They are kept, so the next refresh goes on from there.
  EXPECT_EQ(refresh(), std::nullopt);
}

TEST_F(UpdaterTest, ARootMustBeSignedByOldAndNewKeys) {
  repository_.keys["root"].clear();
  repository_.add_key("root");
  repository_.set_root_roles();
  repository_.publish("root");  // by the new key alone
  EXPECT_EQ(refresh(), Errc::bad_signature);
}

TEST_F(UpdaterTest, CapsHoldForEveryRole) {
  const std::pair<const char*, const char*> rows[] = {{"root", "m/2.root.json"},
                                                      {"timestamp", "m/timestamp.json"},
                                                      {"snapshot", "m/1.snapshot.json"},
                                                      {"targets", "m/1.targets.json"}};
  for (const auto& [role, url] : rows) {
    const auto before = repository_.fetcher.files;
    repository_.fetcher.files[url] = std::string(6 << 20, ' ');
    EXPECT_EQ(refresh(), Errc::too_large) << role;
    repository_.fetcher.files = before;
  }
}

TEST_F(UpdaterTest, ASnapshotMustBeTheOneThatTheTimestampHashes) {
  ASSERT_EQ(refresh(), std::nullopt);
  repository_.publish("snapshot");
  repository_.publish("timestamp");
  repository_.fetcher.files["m/2.snapshot.json"] += " ";  // signatures still hold
  EXPECT_EQ(refresh(), Errc::too_large) << "longer than the timestamp says";
  repository_.fetcher.files["m/2.snapshot.json"].back() = '\n';
  repository_.fetcher.files["m/2.snapshot.json"].pop_back();
  EXPECT_EQ(refresh(), std::nullopt);
}

TEST_F(UpdaterTest, MixedVersionsAreRefused) {
  ASSERT_EQ(refresh(), std::nullopt);
  const auto old_targets = repository_.fetcher.files["m/1.targets.json"];
  repository_.publish("targets");
  repository_.publish("snapshot");
  repository_.publish("timestamp");
  repository_.fetcher.files["m/2.targets.json"] = old_targets;
  EXPECT_EQ(refresh(), Errc::mismatch);
  EXPECT_EQ(stored("targets"), old_targets);
}

TEST_F(UpdaterTest, StoredFilesThatAreDamagedAreFetchedAgain) {
  ASSERT_EQ(refresh(), std::nullopt);
  for (const char* role : {"timestamp", "snapshot", "targets"}) {
    for (const char* damage : {"", "garbage", "{}"}) {
      std::ofstream(metadata() / (std::string(role) + ".json")) << damage;
      EXPECT_EQ(refresh(), std::nullopt) << role;
    }
  }
  std::ofstream(metadata() / "root.json") << "garbage";
  EXPECT_NE(refresh(), std::nullopt) << "there is nothing to fall back on";
}

TEST_F(UpdaterTest, DownloadsOnceAndRepairsItsCache) {
  repository_.add_target("dir/a.bin", "content");
  repository_.publish_all();
  auto updater = client();
  ASSERT_TRUE(updater.refresh());
  auto target = updater.find_target("dir/a.bin");
  ASSERT_TRUE(target && *target);
  auto path = updater.download(**target);
  ASSERT_TRUE(path) << path.error().text();
  EXPECT_EQ(path->filename(), "dir%2Fa.bin");
  const auto requests = repository_.fetcher.requests.size();
  ASSERT_TRUE(updater.download(**target));
  EXPECT_EQ(repository_.fetcher.requests.size(), requests);
  std::ofstream(*path) << "changed";  // same length, other bytes
  ASSERT_TRUE(updater.download(**target));
  EXPECT_EQ(read_text_file(*path, 100).value_or(""), "content");
}

TEST_F(UpdaterTest, ARefusedDownloadLeavesNothingBehind) {
  repository_.add_target("a", "content");
  repository_.publish_all();
  for (auto& [url, content] : repository_.fetcher.files) {
    if (url.starts_with("t/")) content = "Content";
  }
  auto updater = client();
  ASSERT_TRUE(updater.refresh());
  auto target = updater.find_target("a");
  auto path = updater.download(**target);
  ASSERT_FALSE(path);
  EXPECT_EQ(path.error().code, Errc::mismatch);
  EXPECT_TRUE(std::filesystem::is_empty(targets()));
  EXPECT_FALSE(updater.fetch_bytes(**target, 100));
  EXPECT_EQ(updater.fetch_bytes(**target, 3).error().code, Errc::too_large);
}

TEST_F(UpdaterTest, RefusesPathGamesBeforeAnyRequest) {
  repository_.delegate("targets", "team", {"*/*/*"});
  for (const char* path : {"../x", "/x", "team/../x", "a//b", "", "a/./b"}) {
    repository_.add_target(path, "content");
    repository_.publish_all();
    auto updater = client();
    ASSERT_TRUE(updater.refresh()) << path;
    const auto requests = repository_.fetcher.requests.size();
    auto target = updater.find_target(path);
    ASSERT_FALSE(target) << path;
    EXPECT_EQ(target.error().code, Errc::invalid) << path;
    EXPECT_EQ(repository_.fetcher.requests.size(), requests) << path;
  }
}

TEST_F(UpdaterTest, RoleNamesCannotLeaveTheDirectory) {
  repository_.delegate("targets", "../../evil", {"*"});
  repository_.publish_all();
  auto updater = client();
  ASSERT_TRUE(updater.refresh());
  auto target = updater.find_target("x");
  ASSERT_TRUE(target) << target.error().text();
  EXPECT_FALSE(*target);
  EXPECT_TRUE(std::filesystem::exists(metadata() / "%2E.%2F..%2Fevil.json"));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "evil.json"));
}

TEST_F(UpdaterTest, ADelegateSpeaksOnlyForItsPaths) {
  repository_.delegate("targets", "a", {"a/*"}, true);
  repository_.delegate("targets", "b", {"*/*"});
  repository_.add_target("a/1", "one", "a");
  repository_.add_target("b/1", "stolen", "a");  // not a's to list
  repository_.add_target("a/2", "late", "b");    // a is terminating for a/*
  repository_.publish_all();
  auto updater = client();
  ASSERT_TRUE(updater.refresh());
  auto own = updater.find_target("a/1");
  ASSERT_TRUE(own && *own);
  EXPECT_EQ((*own)->role, "a");
  auto stolen = updater.find_target("b/1");
  ASSERT_TRUE(stolen);
  EXPECT_FALSE(*stolen);
  auto late = updater.find_target("a/2");
  ASSERT_TRUE(late);
  EXPECT_FALSE(*late);
}

TEST_F(UpdaterTest, ASearchVisitsAtMostSoManyRoles) {
  std::string parent = "targets";
  for (int i = 0; i < 40; ++i) {
    const std::string role = "r" + std::to_string(i);
    repository_.delegate(parent, role, {"*"});
    if (i % 10 == 9) parent = role;
  }
  repository_.publish_all();
  auto updater = client();
  ASSERT_TRUE(updater.refresh());
  auto target = updater.find_target("x");
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().code, Errc::too_large);
}

TEST_F(UpdaterTest, StoredStartNeedsNoNetworkAndSurvivesAHalfRefresh) {
  repository_.delegate("targets", "team", {"team/*"});
  repository_.add_target("team/a", "content", "team");
  repository_.publish_all();
  {
    auto updater = client();
    ASSERT_TRUE(updater.refresh());
    ASSERT_TRUE(updater.find_target("team/a"));
  }
  // A newer timestamp is stored, then the repository goes away.
  repository_.publish_all();
  std::erase_if(repository_.fetcher.files,
                [](const auto& file) { return file.first.ends_with("snapshot.json"); });
  ASSERT_NE(refresh(), std::nullopt);
  repository_.fetcher.requests.clear();
  auto offline = client();
  auto status = offline.load_stored();
  ASSERT_TRUE(status) << status.error().text();
  auto target = offline.find_target("team/a");
  ASSERT_TRUE(target && *target);
  EXPECT_TRUE(repository_.fetcher.requests.empty());

  std::filesystem::remove(metadata() / "team.json");
  auto without = client();
  ASSERT_TRUE(without.load_stored());
  EXPECT_EQ(without.find_target("team/a").error().code, Errc::unavailable);
}

TEST_F(UpdaterTest, StoredStartStillChecksSignatures) {
  ASSERT_EQ(refresh(), std::nullopt);
  const std::string good = stored("targets");
  std::string bent = good;
  bent.replace(bent.find("\"version\":1"), 11, "\"version\":2");
  std::ofstream(metadata() / "targets.json") << bent;
  EXPECT_FALSE(client().load_stored());
}

TEST_F(UpdaterTest, InitRefusesARootThatDidNotSignItself) {
  const std::string root = repository_.fetcher.files["m/1.root.json"];
  const auto other = directory_ / "other";
  std::filesystem::create_directory(other);
  auto twice = tuf::TufClient::init(metadata(), as_bytes(root));
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, Errc::conflict);
  std::string bent = root;
  bent.replace(bent.find("\"version\":1"), 11, "\"version\":7");
  EXPECT_FALSE(tuf::TufClient::init(other, as_bytes(bent)));
  EXPECT_FALSE(tuf::TufClient::is_initialised(other));
  EXPECT_TRUE(tuf::TufClient::init(other, as_bytes(root)));
}

}  // namespace
