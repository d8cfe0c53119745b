#include "signing/verify/metadata.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "tests/unit/signing/test_repository.hpp"

namespace {

using namespace rap;
using test::TestRepository;
namespace json = boost::json;

// Signs a bent root and says whether it parses.
struct RootCase {
  const char* name;
  std::function<void(json::object&)> bend;
};

std::string bent(TestRepository& repository, const std::string& role,
                 const std::function<void(json::object&)>& bend) {
  json::object body = repository.bodies[role];
  bend(body);
  return sign::Draft(std::move(body)).file();
}

json::object& role_of(json::object& root, const char* role) {
  return root["roles"].as_object()[role].as_object();
}

TEST(Metadata, RefusesBentRoots) {
  TestRepository repository;
  ASSERT_TRUE(tuf::parse_root(as_bytes(bent(repository, "root", [](json::object&) {}))));
  const RootCase rows[] = {
      {"threshold 0", [](auto& r) { role_of(r, "root")["threshold"] = 0; }},
      {"threshold -1", [](auto& r) { role_of(r, "root")["threshold"] = -1; }},
      {"threshold 1.0", [](auto& r) { role_of(r, "root")["threshold"] = 1.0; }},
      {"threshold text", [](auto& r) { role_of(r, "root")["threshold"] = "1"; }},
      {"threshold null", [](auto& r) { role_of(r, "root")["threshold"] = nullptr; }},
      {"threshold true", [](auto& r) { role_of(r, "root")["threshold"] = true; }},
      {"threshold 2^53", [](auto& r) { role_of(r, "root")["threshold"] = 9007199254740992; }},
      {"threshold absent", [](auto& r) { role_of(r, "root").erase("threshold"); }},
      {"key id twice",
       [](auto& r) {
         auto& ids = role_of(r, "root")["keyids"].as_array();
         ids.push_back(json::value(ids[0]));
       }},
      {"key ids not an array", [](auto& r) { role_of(r, "root")["keyids"] = "x"; }},
      {"key id a number", [](auto& r) { role_of(r, "root")["keyids"] = json::array{1}; }},
      {"timestamp role absent", [](auto& r) { r["roles"].as_object().erase("timestamp"); }},
      {"key under another id",
       [](auto& r) {
         json::object& keys = r["keys"].as_object();
         keys[std::string(64, '0')] = keys.begin()->value();
       }},
      {"key not an object", [](auto& r) { r["keys"].as_object()["x"] = 1; }},
      {"version 0", [](auto& r) { r["version"] = 0; }},
      {"version 1.0", [](auto& r) { r["version"] = 1.0; }},
      {"version text", [](auto& r) { r["version"] = "1"; }},
      {"version absent", [](auto& r) { r.erase("version"); }},
      {"version 2^53", [](auto& r) { r["version"] = 9007199254740992; }},
      {"expires absent", [](auto& r) { r.erase("expires"); }},
      {"expires a date", [](auto& r) { r["expires"] = "2030-01-01"; }},
      {"expires with offset", [](auto& r) { r["expires"] = "2030-01-01T00:00:00+01:00"; }},
      {"expires with fraction", [](auto& r) { r["expires"] = "2030-01-01T00:00:00.5Z"; }},
      {"expires that is no day", [](auto& r) { r["expires"] = "2030-02-30T00:00:00Z"; }},
      {"another type", [](auto& r) { r["_type"] = "targets"; }},
      {"spec 2", [](auto& r) { r["spec_version"] = "2.0.0"; }},
      {"spec absent", [](auto& r) { r.erase("spec_version"); }},
      {"consistent_snapshot text", [](auto& r) { r["consistent_snapshot"] = "true"; }},
      {"a float anywhere",
       [](auto& r) {
         r["x"] = json::object{{"y", 0.5}};
       }},
  };
  for (const RootCase& row : rows) {
    EXPECT_FALSE(tuf::parse_root(as_bytes(bent(repository, "root", row.bend)))) << row.name;
  }
}

TEST(Metadata, RefusesBentEnvelopes) {
  TestRepository repository;
  const std::string good = repository.sign("root");
  ASSERT_TRUE(tuf::parse_root(as_bytes(good)));
  auto value = json::parse(good);
  const std::string signed_part = json::serialize(value.at("signed"));
  const std::string signature = json::serialize(value.at("signatures").at(0));
  const std::string rows[] = {
      "",
      "null",
      "[]",
      "{}",
      "\xEF\xBB\xBF" + good,
      good + "x",
      good.substr(0, good.size() / 2),
      "{\"signatures\":[],\"signed\":1}",
      "{\"signatures\":{},\"signed\":" + signed_part + "}",
      "{\"signed\":" + signed_part + "}",
      "{\"signatures\":[" + signature + "," + signature + "],\"signed\":" + signed_part + "}",
      "{\"signatures\":[7],\"signed\":" + signed_part + "}",
      "{\"signatures\":[{\"keyid\":\"a\"}],\"signed\":" + signed_part + "}",
      "{\"signatures\":[{\"keyid\":1,\"sig\":\"\"}],\"signed\":" + signed_part + "}",
      "{\"signatures\":[],\"signed\":" + signed_part + ",\"signed\":" + signed_part + "}",
      "{\"signatures\":[],\"signed\":" + std::string(100, '[') + std::string(100, ']') + "}",
  };
  for (const std::string& row : rows) EXPECT_FALSE(tuf::parse_root(as_bytes(row))) << row;
}

TEST(Metadata, RefusesBentSnapshotsTimestampsAndTargets) {
  TestRepository repository;
  repository.add_target("a", "content");
  const auto file = [](const char* member) {
    return [member](json::object& b) {
      b["meta"].as_object()["targets.json"].as_object()[member] = -1;
    };
  };
  EXPECT_FALSE(tuf::parse_snapshot(as_bytes(bent(repository, "snapshot", file("version")))));
  EXPECT_FALSE(tuf::parse_snapshot(as_bytes(bent(repository, "snapshot", file("length")))));
  EXPECT_FALSE(tuf::parse_snapshot(as_bytes(bent(repository, "snapshot", file("hashes")))));
  EXPECT_FALSE(tuf::parse_timestamp(as_bytes(bent(
      repository, "timestamp", [](auto& b) { b["meta"].as_object().erase("snapshot.json"); }))));
  EXPECT_FALSE(tuf::parse_timestamp(
      as_bytes(bent(repository, "timestamp", [](auto& b) { b["issued"] = "yesterday"; }))));

  const auto target = [&](const char* member, const json::value& value) {
    return bent(repository, "targets", [&](json::object& b) {
      b["targets"].as_object()["a"].as_object()[member] = value;
    });
  };
  EXPECT_TRUE(tuf::parse_targets(as_bytes(target("custom", {{"a", 1}}))));
  EXPECT_FALSE(tuf::parse_targets(as_bytes(target("custom", "text"))));
  EXPECT_FALSE(tuf::parse_targets(as_bytes(target("length", -1))));
  EXPECT_FALSE(tuf::parse_targets(as_bytes(target("length", 1.0))));
  EXPECT_FALSE(tuf::parse_targets(as_bytes(target("length", "7"))));
  EXPECT_FALSE(tuf::parse_targets(as_bytes(target("hashes", json::object{}))));
  EXPECT_FALSE(tuf::parse_targets(as_bytes(target("hashes", {{"sha256", "00"}}))));
  EXPECT_FALSE(tuf::parse_targets(as_bytes(target("hashes", {{"sha256", std::string(64, 'A')}}))));
}

TEST(Metadata, RefusesBentDelegations) {
  TestRepository repository;
  repository.delegate("targets", "a", {"a/*"});
  const auto bend = [&](const std::function<void(json::object&)>& edit) {
    return tuf::parse_targets(
               as_bytes(bent(repository, "targets",
                             [&](json::object& body) { edit(body["delegations"].as_object()); })))
        .has_value();
  };
  const auto role = [](json::object& d) -> json::object& {
    return d["roles"].as_array()[0].as_object();
  };
  ASSERT_TRUE(bend([](json::object&) {}));
  for (const char* name : {"", "root", "targets", "snapshot", "timestamp"}) {
    EXPECT_FALSE(bend([&](json::object& d) { role(d)["name"] = name; })) << name;
  }
  EXPECT_FALSE(bend([&](json::object& d) { role(d)["name"] = std::string(201, 'a'); }));
  EXPECT_FALSE(bend([&](json::object& d) { role(d)["name"] = std::string(100, '/'); }));
  EXPECT_TRUE(bend([&](json::object& d) { role(d)["name"] = "../a"; }));
  EXPECT_FALSE(bend([&](json::object& d) { role(d)["threshold"] = 0; }));
  EXPECT_FALSE(bend([&](json::object& d) { role(d)["terminating"] = 1; }));
  EXPECT_FALSE(bend([&](json::object& d) { role(d).erase("terminating"); }));
  EXPECT_FALSE(bend([&](json::object& d) { role(d).erase("paths"); }));
  EXPECT_FALSE(bend([&](json::object& d) { role(d)["path_hash_prefixes"] = json::array{"a"}; }));
  EXPECT_FALSE(bend([&](json::object& d) { role(d)["paths"] = "a/*"; }));
  EXPECT_FALSE(bend([&](json::object& d) { role(d)["paths"] = json::array{1}; }));
  EXPECT_FALSE(bend([&](json::object& d) {
    d["roles"].as_array().push_back(json::value(d["roles"].as_array()[0]));
  })) << "the same role twice";
  EXPECT_FALSE(bend([&](json::object& d) { d.erase("roles"); }));
  EXPECT_FALSE(bend([&](json::object& d) { d.erase("keys"); }));
  EXPECT_FALSE(bend([&](json::object& d) { d["succinct_roles"] = json::object{}; }));
  const auto succinct = [&](std::int64_t bits, const char* prefix) {
    return bend([&](json::object& d) {
      json::object bins = role(d);
      bins["bit_length"] = bits;
      bins["name_prefix"] = prefix;
      d.erase("roles");
      d["succinct_roles"] = std::move(bins);
    });
  };
  EXPECT_TRUE(succinct(1, "bin"));
  EXPECT_TRUE(succinct(32, "bin"));
  EXPECT_FALSE(succinct(0, "bin"));
  EXPECT_FALSE(succinct(33, "bin"));
}

TEST(Metadata, PathPatterns) {
  const struct {
    const char* pattern;
    const char* path;
    bool matches;
  } rows[] = {
      {"*", "a", true},
      {"*", "a/b", false},
      {"*", "", true},
      {"a/*", "a/b", true},
      {"a/*", "a/b/c", false},
      {"a/*", "b/b", false},
      {"*/*", "a/b", true},
      {"rel/plugin.rap.*/*/*", "rel/plugin.rap.ssh/1/manifest.json", true},
      {"rel/plugin.rap.*/*/*", "rel/plugin.evil.ssh/1/manifest.json", false},
      {"foo-?.tgz", "foo-1.tgz", true},
      {"foo-?.tgz", "foo-12.tgz", false},
      {"foo-?.tgz", "foo-/.tgz", false},
      {"*.md", "README.MD", false},
      {"[ab]", "a", false},
      {"[ab]", "[ab]", true},
      {"a*b*c", "aXbYc", true},
      {"a*b*c", "aXbY", false},
      {"", "", true},
      {"", "a", false},
      {"**", "a", true},
      {"/a", "a", false},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(tuf::match_path_pattern(row.pattern, row.path), row.matches)
        << row.pattern << " " << row.path;
  }
  // Must not take exponential time.
  EXPECT_FALSE(tuf::match_path_pattern("*a*a*a*a*a*a*a*a*a*a*b", std::string(1000, 'a')));
}

TEST(Metadata, TargetPathsAndNames) {
  for (const char* good : {"a", "a/b", "rel/x/1.0/m.json", "..a", "a..", "%2e"}) {
    EXPECT_TRUE(tuf::check_target_path(good)) << good;
  }
  for (const std::string& bad :
       {std::string(), std::string("/a"), std::string("a/"), std::string("a//b"),
        std::string("../a"), std::string("a/../b"), std::string("."), std::string("a/."),
        std::string("a\\b"), std::string("a\nb"), std::string("a\0b", 3), std::string(4096, 'a')}) {
    EXPECT_FALSE(tuf::check_target_path(bad)) << bad;
  }
  EXPECT_EQ(tuf::encode_segment("../a?#"), "..%2Fa%3F%23");
  EXPECT_EQ(tuf::encode_file_name("../a"), "%2E.%2Fa");
  EXPECT_EQ(tuf::encode_file_name("\xC3\xA9"), "%C3%A9");
}

TEST(Metadata, SuccinctBinsFollowTap15) {
  tuf::SuccinctRoles roles;
  roles.name_prefix = "bin";
  const std::string path = "a/file";
  const std::string digest = to_hex(sha256(path));
  roles.bit_length = 8;
  EXPECT_EQ(roles.role_for(path), "bin-" + digest.substr(0, 2));
  roles.bit_length = 32;
  EXPECT_EQ(roles.role_for(path), "bin-" + digest.substr(0, 8));
  roles.bit_length = 1;
  EXPECT_EQ(roles.role_for(path), std::string("bin-") + (digest[0] >= '8' ? "1" : "0"));
}

TEST(Signatures, OneKeyUnderTwoIdsCountsOnce) {
  const auto key = sign::Ed25519Key::generate();
  json::object twin = key.public_key().to_json();
  twin["note"] = "the same key again";
  const auto second = tuf::PublicKey::from_json(twin).value();
  const std::string text = "{}";
  const Bytes signature = key.sign(as_bytes(text));
  tuf::KeyRing ring;
  ring.emplace(key.key_id(), key.public_key());
  ring.emplace(second.id(), second);
  tuf::SignedBytes proof{text, {{key.key_id(), signature}, {second.id(), signature}}};
  tuf::RoleKeys role{{key.key_id(), second.id()}, 2};
  EXPECT_FALSE(tuf::verify_signatures(proof, ring, role));
  role.threshold = 1;
  EXPECT_TRUE(tuf::verify_signatures(proof, ring, role));
  role.threshold = 0;
  EXPECT_FALSE(tuf::verify_signatures(proof, ring, role)) << "zero is not «no signature needed»";
  role = {{second.id()}, 1};
  proof.signatures.resize(1);
  EXPECT_FALSE(tuf::verify_signatures(proof, ring, role)) << "signed under an id the role lacks";
}

TEST(Hashes, EveryKnownOneMustFitAndOneMustBeKnown) {
  const Bytes bytes = to_bytes("content");
  tuf::Hashes hashes;
  hashes.unknown = 1;
  EXPECT_EQ(tuf::verify_hashes(hashes, bytes).error().code, Errc::unsupported);
  hashes.known["sha256"] = to_hex(sha256(ByteView(bytes)));
  EXPECT_TRUE(tuf::verify_hashes(hashes, bytes));
  hashes.known["sha512"] = std::string(128, '0');
  EXPECT_EQ(tuf::verify_hashes(hashes, bytes).error().code, Errc::mismatch);
  EXPECT_FALSE(tuf::verify_meta_file({1, 6, std::nullopt}, bytes));
  EXPECT_TRUE(tuf::verify_meta_file({1, 7, std::nullopt}, bytes));
}

}  // namespace
