#include "signing/sign/release_repository.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "signing/sign/ceremony.hpp"
#include "signing/sign/releases.hpp"
#include "signing/verify/countersignature.hpp"
#include "signing/verify/directory_fetcher.hpp"
#include "signing/verify/updater.hpp"
#include "tests/unit/signing/test_repository.hpp"

namespace {

using namespace rap;
using namespace rap::sign;
using test::kNow;
namespace json = boost::json;

// One directory with a repository, two holders' keys and a client's state.
class ReleaseRepositoryTest : public testing::Test {
 protected:
  ~ReleaseRepositoryTest() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path repository_dir() const { return directory_ / "r"; }

  static Result<Secret> passphrase() { return Secret(std::string_view("secret")); }

  // Made once for all tests: encrypting a key is slow on purpose.
  static void SetUpTestSuite() {
    keys_dir_ = make_directory();
    here_ = new KeyStore(keys_dir_ / "here", passphrase);
    elsewhere_ = new KeyStore(keys_dir_ / "elsewhere", passphrase);
  }
  static void TearDownTestSuite() {
    delete here_;
    delete elsewhere_;
    std::filesystem::remove_all(keys_dir_);
  }
  static tuf::PublicKey key(KeyStore& store, const std::string& name) {
    auto known = store.public_key(name);
    return known ? *known : *store.create(name);
  }
  static tuf::PublicKey key(const std::string& name) { return key(*here_, name); }

  ReleaseRepository open() {
    auto repository = ReleaseRepository::open_for_writing(repository_dir());
    EXPECT_TRUE(repository) << repository.error().text();
    return std::move(*repository);
  }

  RoleSpec role(const std::string& name, std::vector<std::string> paths = {}) {
    return {name, {key(name)}, 1, std::move(paths)};
  }

  // Root 2 of 2: one holder here, one elsewhere.
  void begin() {
    ReleaseRepository repository = open();
    Change change(repository, kNow);
    RoleSpec root{"root", {key("root-a"), key(*elsewhere_, "root-b")}, 2, {}};
    ASSERT_TRUE(begin_repository(change, repository,
                                 {root, role("targets"), role("snapshot"), role("timestamp")}));
    ASSERT_TRUE(delegate_role(change, role("rel.plugin.rap", {"rel/plugin.rap.*/*/*"})));
    ASSERT_TRUE(delegate_role(change, role("channels", {"channels/*/*"})));
    ASSERT_TRUE(change.sign(*here_));
    ASSERT_TRUE(change.sign(*elsewhere_));
    auto status = change.publish(*here_);
    ASSERT_TRUE(status) << status.error().text();
  }

  struct Release {
    Bytes manifest;
    Bytes artifact;
  };
  static Release release(const std::string& version, std::int64_t seq,
                         const std::string& content = "code",
                         const std::function<void(json::object&)>& bend = {}) {
    const std::string directory = "rel/plugin.rap.echo/" + version + "/";
    json::object variant{{"os", "linux"},
                         {"arch", "x86_64"},
                         {"libc", "glibc"},
                         {"target", directory + "linux-x86_64-glibc.so"},
                         {"length", static_cast<std::int64_t>(content.size())},
                         {"sha256", to_hex(sha256(content))}};
    json::object manifest{{"format", 1},
                          {"product", "plugin.rap.echo"},
                          {"version", version},
                          {"release_seq", seq},
                          {"security_epoch", 0},
                          {"variants", json::array{variant}},
                          {"plugin", {{"abi_major", 1}}}};
    if (bend) bend(manifest);
    return {to_bytes(json::serialize(manifest)), to_bytes(content)};
  }

  // Empty: published. Otherwise the error's code.
  std::optional<Errc> publish(const Release& release, const std::string& channel = "") {
    ReleaseRepository repository = open();
    Change change(repository, kNow);
    auto result = add_release(change, repository, release.manifest, {release.artifact});
    if (!result) return result.error().code;
    if (!channel.empty()) {
      auto listed = set_channel(change, repository, {result->product, channel, result->version, 0});
      if (!listed) return listed.error().code;
    }
    if (change.drafts().empty()) return std::nullopt;
    if (auto s = change.sign(*here_); !s) return s.error().code;
    if (auto s = change.publish(*here_); !s) return s.error().code;
    return std::nullopt;
  }

  class Fetcher final : public tuf::Fetcher {
   public:
    explicit Fetcher(const std::filesystem::path& r)
        : metadata_("m/", r / "metadata"), targets_("t/", r / "targets") {}
    Result<Bytes> fetch(const std::string& url, std::size_t max) override {
      return metadata_.fetch(url, max);
    }
    Status fetch_to(const std::string& url, std::uint64_t length, const Sink& sink) override {
      return targets_.fetch_to(url, length, sink);
    }

   private:
    tuf::DirectoryFetcher metadata_;
    tuf::DirectoryFetcher targets_;
  };

  // A node that keeps its state between calls; nullopt: it does not accept the repository.
  std::optional<tuf::TrustedVersions> node_refresh() {
    const auto state = directory_ / "node";
    std::filesystem::create_directories(state);
    if (!tuf::TufClient::is_initialised(state)) {
      auto root = read_file(repository_dir() / "metadata/1.root.json", 1 << 20);
      EXPECT_TRUE(root && tuf::TufClient::init(state, *root));
    }
    tuf::TufClientConfig config;
    config.metadata_dir = state;
    config.metadata_url = "m/";
    config.targets_url = "t/";
    node_ = std::make_unique<tuf::TufClient>(config, fetcher_, clock_);
    auto status = node_->refresh();
    EXPECT_TRUE(status) << status.error().text();
    if (!status) return std::nullopt;
    return node_->versions();
  }

  std::string node_reads(const std::string& path) {
    auto target = node_->find_target(path);
    if (!target || !*target) return "";
    auto bytes = node_->fetch_bytes(**target, 1 << 20);
    return bytes ? std::string(as_text(*bytes)) : bytes.error().text();
  }

  static std::filesystem::path make_directory() {
    char name[] = "/tmp/rap-releases-XXXXXX";
    return ::mkdtemp(name);
  }

  static inline std::filesystem::path keys_dir_;
  static inline KeyStore* here_ = nullptr;
  static inline KeyStore* elsewhere_ = nullptr;
  std::filesystem::path directory_ = make_directory();
  test::FixedClock clock_;
  Fetcher fetcher_{directory_ / "r"};
  std::unique_ptr<tuf::TufClient> node_;
};

TEST_F(ReleaseRepositoryTest, ANodeReadsWhatWasPublished) {
  begin();
  const Release first = release("0.1.0", 1);
  ASSERT_EQ(publish(first, "current"), std::nullopt);
  auto versions = node_refresh();
  ASSERT_TRUE(versions);
  EXPECT_EQ(versions->snapshot, 2);
  EXPECT_EQ(node_reads("rel/plugin.rap.echo/0.1.0/manifest.json"), as_text(first.manifest));
  EXPECT_EQ(node_reads("rel/plugin.rap.echo/0.1.0/linux-x86_64-glibc.so"), "code");
  const auto channel = json::parse(node_reads("channels/plugin.rap.echo/current.json"));
  EXPECT_EQ(channel.at("version"), "0.1.0");
  EXPECT_EQ(channel.at("manifest_sha256"), json::value(to_hex(sha256(ByteView(first.manifest)))));
  EXPECT_TRUE(channel.at("history").as_array().empty());
  auto target = node_->find_target("rel/plugin.rap.echo/0.1.0/linux-x86_64-glibc.so");
  EXPECT_EQ((*target)->custom,
            R"({"arch":"x86_64","kind":"artifact","libc":"glibc","os":"linux","plugin_abi":1,)"
            R"("product":"plugin.rap.echo","release_seq":1,"security_epoch":0,"version":"0.1.0"})");

  ASSERT_EQ(publish(release("0.2.0", 2, "code 2"), "current"), std::nullopt);
  ASSERT_TRUE(node_refresh());
  const auto next = json::parse(node_reads("channels/plugin.rap.echo/current.json"));
  EXPECT_EQ(next.at("version"), "0.2.0");
  EXPECT_EQ(next.at("history"), json::array{"0.1.0"});
}

TEST_F(ReleaseRepositoryTest, TheTrustRoleIsAListOfKeysAndNothingMore) {
  begin();
  const auto delegate = [&](std::vector<std::string> paths) -> std::optional<Errc> {
    ReleaseRepository repository = open();
    Change change(repository, kNow);
    if (auto s = delegate_role(change, role("trust", std::move(paths))); !s) return s.error().code;
    if (auto s = change.sign(*here_); !s) return s.error().code;
    if (auto s = change.publish(*here_); !s) return s.error().code;
    return std::nullopt;
  };
  EXPECT_EQ(delegate({}), Errc::invalid);
  EXPECT_EQ(delegate({"rel/*/*/*"}), Errc::invalid);
  EXPECT_EQ(delegate({"trust/none", "trust/*"}), Errc::invalid);
  ASSERT_EQ(delegate({"trust/none"}), std::nullopt);
  EXPECT_EQ(open().current("trust"), nullptr) << "no metadata that could list a target";
  EXPECT_FALSE(std::filesystem::exists(repository_dir() / "metadata/1.trust.json"));

  ASSERT_TRUE(node_refresh());
  const auto trust_of_node = [&] {
    return tuf::count_countersignatures(tuf::SignedBytes{}, *node_->top_level());
  };
  EXPECT_EQ(trust_of_node()->threshold, 1);
  EXPECT_FALSE(node_->find_target("trust/none")) << "no file speaks for it";
  ASSERT_EQ(publish(release("0.1.0", 1), "current"), std::nullopt);

  KeyChange keys;
  keys.add = {key("trust-b")};
  keys.threshold = 2;
  {
    ReleaseRepository repository = open();
    Change change(repository, kNow);
    ASSERT_TRUE(rotate_keys(change, repository, "trust", keys));
    ASSERT_TRUE(change.sign(*here_));
    ASSERT_TRUE(change.publish(*here_));
  }
  EXPECT_EQ(open().current("trust"), nullptr);
  ASSERT_TRUE(node_refresh());
  EXPECT_EQ(trust_of_node()->threshold, 2);
  EXPECT_EQ(node_reads("rel/plugin.rap.echo/0.1.0/linux-x86_64-glibc.so"), "code");
}

TEST_F(ReleaseRepositoryTest, AReleaseNeverChanges) {
  begin();
  ASSERT_EQ(publish(release("0.1.0", 1)), std::nullopt);
  EXPECT_EQ(publish(release("0.1.0", 1)), std::nullopt) << "the same bytes: nothing to do";
  EXPECT_EQ(publish(release("0.1.0", 1, "other code")), Errc::conflict);
  EXPECT_EQ(publish(release("0.1.0", 2)), Errc::conflict);
  Release other_file = release("0.1.0", 1);
  other_file.artifact = to_bytes("other code");
  EXPECT_EQ(publish(other_file), Errc::conflict) << "the same manifest with another file";
  EXPECT_EQ(publish(release("0.2.0", 1)), Errc::invalid) << "release_seq does not rise";
  EXPECT_EQ(publish(release("0.0.9", 2)), std::nullopt) << "only release_seq orders releases";
  EXPECT_EQ(node_refresh()->snapshot, 3);
}

TEST_F(ReleaseRepositoryTest, RefusesManifestsThatMayNotBe) {
  begin();
  const auto with = [&](const char* member, json::value value) {
    return publish(release("0.1.0", 1, "code", [&](json::object& m) { m[member] = value; }));
  };
  EXPECT_EQ(with("format", 2), Errc::invalid);
  EXPECT_EQ(with("product", "../x"), Errc::invalid);
  EXPECT_EQ(with("product", "a/b"), Errc::invalid);
  EXPECT_EQ(with("version", ".."), Errc::invalid);
  EXPECT_EQ(with("version", ""), Errc::invalid);
  for (const char* version : {"banana", "1.0", "1.0.0.0", "v1.0.0", "01.0.0", "1.0.0-", "1..0"}) {
    EXPECT_EQ(publish(release(version, 1)), Errc::invalid) << version;
  }
  EXPECT_EQ(with("release_seq", 0), Errc::invalid);
  EXPECT_EQ(with("release_seq", 1.5), Errc::invalid);
  EXPECT_EQ(with("security_epoch", -1), Errc::invalid);
  EXPECT_EQ(with("variants", json::array{}), Errc::invalid);
  EXPECT_EQ(with("product", "plugin.other.echo"), Errc::invalid) << "target in another directory";
  const auto variant = [&](const char* member, json::value value) {
    return publish(release("0.1.0", 1, "code", [&](json::object& m) {
      m["variants"].as_array()[0].as_object()[member] = value;
    }));
  };
  EXPECT_EQ(variant("target", "rel/plugin.rap.echo/0.1.0/../x"), Errc::invalid);
  EXPECT_EQ(variant("target", "rel/plugin.rap.echo/0.1.0/.x"), Errc::invalid);
  EXPECT_EQ(variant("target", "rel/plugin.rap.other/0.1.0/x"), Errc::invalid);
  EXPECT_EQ(variant("length", 5), Errc::mismatch);
  EXPECT_EQ(variant("sha256", json::value(std::string(64, '0'))), Errc::mismatch);
  EXPECT_EQ(publish({to_bytes("{}"), {}}), Errc::invalid);
  EXPECT_EQ(publish({to_bytes("nonsense"), {}}), Errc::malformed);
  EXPECT_EQ(publish(release("0.1.0", 1, "code",
                            [](json::object& m) {
                              m["product"] = "plugin.evil.x";
                              m["variants"].as_array()[0].as_object()["target"] =
                                  "rel/plugin.evil.x/0.1.0/x.so";
                            })),
            Errc::not_found)
      << "nobody is delegated to for another vendor";
}

TEST_F(ReleaseRepositoryTest, ChannelsNameOnlyWhatIsPublished) {
  begin();
  ASSERT_EQ(publish(release("0.1.0", 1)), std::nullopt);
  ReleaseRepository repository = open();
  Change change(repository, kNow);
  const auto set = [&](ChannelSpec spec) {
    auto listed = set_channel(change, repository, spec);
    return listed ? std::nullopt : std::optional(listed.error().code);
  };
  EXPECT_EQ(set({"plugin.rap.echo", "current", "9.9", 0}), Errc::not_found);
  EXPECT_EQ(set({"plugin.rap.echo", "nightly", "0.1.0", 0}), Errc::invalid);
  EXPECT_EQ(set({"plugin.rap.echo", "current", "0.1.0", -1}), Errc::invalid);
  EXPECT_EQ(set({"plugin.rap.echo", "stable", "0.1.0", 0}), std::nullopt);
}

TEST_F(ReleaseRepositoryTest, SignaturesAreCollectedFromSeveralHolders) {
  begin();
  ASSERT_TRUE(node_refresh());
  {
    ReleaseRepository repository = open();
    Change change(repository, kNow);
    KeyChange keys;
    keys.add = {key("root-c")};
    ASSERT_TRUE(rotate_keys(change, repository, "root", keys));
    ASSERT_TRUE(change.sign(*here_));
    auto missing = change.missing();
    ASSERT_TRUE(missing);
    ASSERT_EQ(missing->size(), 1u) << "two of three new keys, but one of two old ones";
    EXPECT_FALSE(change.publish(*here_));
    ASSERT_TRUE(change.save_pending());
  }
  EXPECT_EQ(node_refresh()->root, 1);
  {
    ReleaseRepository repository = open();
    Change change(repository, kNow);
    ASSERT_TRUE(change.load_pending());
    ASSERT_TRUE(change.sign(*elsewhere_));
    auto status = change.publish(*here_);
    ASSERT_TRUE(status) << status.error().text();
  }
  EXPECT_EQ(node_refresh()->root, 2);
  EXPECT_TRUE(std::filesystem::is_empty(repository_dir() / "pending"));
}

TEST_F(ReleaseRepositoryTest, SignaturesThatAreBeingCollectedAreNotThrownAway) {
  begin();
  {
    ReleaseRepository repository = open();
    Change change(repository, kNow);
    change.edit("rel.plugin.rap");
    ASSERT_TRUE(change.save_pending());
  }
  EXPECT_EQ(publish(release("0.1.0", 1)), Errc::conflict);
  const auto pending = repository_dir() / "pending/rel.plugin.rap.json";
  std::filesystem::rename(pending, directory_ / "kept");
  EXPECT_EQ(publish(release("0.1.0", 1)), std::nullopt);
  std::filesystem::rename(directory_ / "kept", pending);
  ReleaseRepository repository = open();
  Change change(repository, kNow);
  auto status = change.load_pending();
  ASSERT_FALSE(status) << "overtaken by what was published";
  EXPECT_EQ(status.error().code, Errc::conflict);
}

TEST_F(ReleaseRepositoryTest, EveryRoleCanChangeItsKeys) {
  begin();
  ASSERT_EQ(publish(release("0.1.0", 1)), std::nullopt);
  ASSERT_TRUE(node_refresh());
  for (const char* name : {"timestamp", "snapshot", "targets", "rel.plugin.rap", "channels"}) {
    ReleaseRepository repository = open();
    Change change(repository, kNow);
    KeyChange keys;
    keys.remove = keys_of_role(repository, name)->key_ids;
    keys.add = {key(std::string(name) + "-2")};
    ASSERT_TRUE(rotate_keys(change, repository, name, keys)) << name;
    ASSERT_TRUE(change.sign(*here_));
    ASSERT_TRUE(change.sign(*elsewhere_));
    auto status = change.publish(*here_);
    ASSERT_TRUE(status) << name << ": " << status.error().text();
    ASSERT_TRUE(node_refresh()) << name;
    EXPECT_EQ(node_reads("rel/plugin.rap.echo/0.1.0/linux-x86_64-glibc.so"), "code") << name;
  }
  EXPECT_EQ(node_refresh()->root, 4);
}

// What a reader sees between any two writes of a rotation: the steps are undone one by one.
TEST_F(ReleaseRepositoryTest, AHalfPublishedRotationIsStillTheOldRepository) {
  begin();
  {
    ReleaseRepository repository = open();
    Change change(repository, kNow);
    KeyChange keys;
    keys.remove = keys_of_role(repository, "timestamp")->key_ids;
    keys.add = {key("timestamp-2")};
    ASSERT_TRUE(rotate_keys(change, repository, "timestamp", keys));
    ASSERT_TRUE(change.sign(*here_));
    ASSERT_TRUE(change.sign(*elsewhere_));
    ASSERT_TRUE(change.publish(*here_));
  }
  const auto root = repository_dir() / "metadata/2.root.json";
  std::filesystem::rename(root, directory_ / "kept");
  EXPECT_EQ(node_refresh()->root, 1) << "the new timestamp is good for the old root too";
  std::filesystem::rename(directory_ / "kept", root);
  EXPECT_EQ(node_refresh()->root, 2);
}

TEST_F(ReleaseRepositoryTest, ThresholdsMustBeReachable) {
  begin();
  ReleaseRepository repository = open();
  Change change(repository, kNow);
  KeyChange keys;
  keys.threshold = 3;
  EXPECT_FALSE(rotate_keys(change, repository, "root", keys));
  keys = {};
  keys.remove = keys_of_role(repository, "root")->key_ids;
  EXPECT_FALSE(rotate_keys(change, repository, "root", keys));
  keys.remove = {"unknown"};
  EXPECT_EQ(rotate_keys(change, repository, "root", keys).error().code, Errc::not_found);
}

TEST_F(ReleaseRepositoryTest, DelegationsArePlainAndDoNotOverlap) {
  begin();
  ReleaseRepository repository = open();
  Change change(repository, kNow);
  const auto delegate = [&](const std::string& name, const std::string& path) {
    auto status = delegate_role(change, {name, {key("targets")}, 1, {path}});
    return status ? std::nullopt : std::optional(status.error().code);
  };
  EXPECT_EQ(delegate("rel.agent", "rel/rap-node-agent/*/*"), std::nullopt);
  EXPECT_EQ(delegate("other", "channels/*/*"), Errc::conflict);
  for (const char* name : {"", "root", "snapshot", "../x", "a/b", ".x", "a b"}) {
    EXPECT_EQ(delegate(name, "x/*"), Errc::invalid) << name;
  }
  for (const char* path : {"", "/x", "x/../y", "x//y", "x y"}) {
    EXPECT_EQ(delegate("x", path), Errc::invalid) << path;
  }
}

TEST_F(ReleaseRepositoryTest, OneWriterAtATime) {
  ReleaseRepository repository = open();
  auto second = ReleaseRepository::open_for_writing(repository_dir());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::conflict);
}

}  // namespace
