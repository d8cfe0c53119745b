#include "host/agent/snapshot/snapshots.hpp"

#include <gtest/gtest.h>

#include <string>

#include "base/id.hpp"

namespace rap::agent {
namespace {

const std::string kCluster = ClusterId::fresh().str();
const std::string kNode = NodeId::fresh().str();
const std::string kOrganization = OrganizationId::fresh().str();
const std::string kAssignment = RoleAssignmentId::fresh().str();
const std::string kResource = ResourceId::fresh().str();
const std::string kSecret = SecretRefId::fresh().str();

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  const auto at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  if (at != std::string::npos) text.replace(at, what.size(), with);
  return text;
}

std::string membership() {
  return R"({"format":1,"cluster_id":")" + kCluster + R"(","node_id":")" + kNode +
         R"(","node_name":"n1","status":"active","authority_term":3,"cluster_ca_pem":"PEM",)" +
         R"("issued_at":"2026-11-21T19:37:37Z","added_later":true})";
}

std::string roles() {
  return R"({"format":1,"assignments":[{"assignment_id":")" + kAssignment +
         R"(","role":"ssh-worker","organization_id":")" + kOrganization +
         R"(","product":"plugin.rap.ssh","version":"0.1.0","config":{"a":1}}]})";
}

std::string access() {
  return R"({"format":1,"lease_keys":[{"kid":"0011223344556677","public":")" +
         std::string(64, 'a') + R"("}],"resources":[{"resource_id":")" + kResource +
         R"(","organization_id":")" + kOrganization +
         R"(","name":"demo","protocol":"ssh","role":"ssh-worker",)" +
         R"("target":{"host":"127.0.0.1","port":2222},"secret_ref":")" + kSecret +
         R"(","options":{"user":"demo"}}]})";
}

TEST(Snapshots, ReadMembership) {
  auto out = parse_membership(membership());
  ASSERT_TRUE(out) << out.error().text();
  EXPECT_EQ(out->cluster_id, kCluster);
  EXPECT_EQ(out->status, NodeStatus::active);
  EXPECT_EQ(out->authority_term, 3);
}

TEST(Snapshots, ReadRoles) {
  auto out = parse_roles(roles());
  ASSERT_TRUE(out) << out.error().text();
  ASSERT_EQ(out->size(), 1u);
  EXPECT_EQ(out->front().product, "plugin.rap.ssh");
  EXPECT_EQ(out->front().config_json, R"({"a":1})");
}

TEST(Snapshots, RoleWithoutReleaseOrOrganization) {
  std::string text = replaced(roles(), R"("plugin.rap.ssh")", "null");
  text = replaced(text, R"("0.1.0")", "null");
  text = replaced(text, "\"" + kOrganization + "\"", "null");
  auto out = parse_roles(text);
  ASSERT_TRUE(out) << out.error().text();
  EXPECT_EQ(out->front().product, "");
  EXPECT_EQ(out->front().organization_id, "");
  EXPECT_EQ(out->front().reason, "") << "an older control plane says none";
  out = parse_roles(replaced(text, R"("config":{"a":1})", R"("config":{},"reason":"no p 9.9.9")"));
  ASSERT_TRUE(out) << out.error().text();
  EXPECT_EQ(out->front().reason, "no p 9.9.9");
  const std::string endless = R"("config":{},"reason":")" + std::string(513, 'x') + "\"";
  EXPECT_FALSE(parse_roles(replaced(text, R"("config":{"a":1})", endless)));
}

TEST(Snapshots, ReadAccess) {
  auto out = parse_access(access());
  ASSERT_TRUE(out) << out.error().text();
  EXPECT_EQ(out->resources.at(kResource).port, 2222);
  EXPECT_EQ(out->resources.at(kResource).secret_ref, kSecret);
  EXPECT_EQ(out->lease_keys.front().kid, "0011223344556677");
}

TEST(Snapshots, RefuseHostileMembership) {
  const std::string good = membership();
  for (const std::string& bad :
       {std::string(), std::string("[]"), std::string("{}"), good.substr(0, good.size() / 2),
        good + "x", replaced(good, "\"format\":1", "\"format\":2"),
        replaced(good, "active", "retired"), replaced(good, kNode, "nod_short"),
        replaced(good, kNode, kCluster), replaced(good, ":3,", ":-3,"),
        replaced(good, ":3,", ":3.5,"), replaced(good, ":3,", ":99999999999999999999,"),
        replaced(good, "2026-11-21", "2026-13-21"), replaced(good, "\"status\"", "\"node_id\""),
        replaced(good, "n1", std::string(100, 'n'))}) {
    EXPECT_FALSE(parse_membership(bad)) << bad;
  }
}

TEST(Snapshots, RefuseHostileRoles) {
  const std::string good = roles();
  const std::string entry = good.substr(good.find("[{") + 1, good.find("}]") - good.find("[{"));
  std::string many = "{\"format\":1,\"assignments\":[" + entry;
  for (int i = 0; i < 1000; ++i) many += "," + entry;
  many += "]}";
  for (const std::string& bad :
       {replaced(good, "ssh-worker", "../worker"), replaced(good, "ssh-worker", ""),
        replaced(good, "plugin.rap.ssh", "plugin/../../etc"), replaced(good, "0.1.0", ".."),
        replaced(good, "\"0.1.0\"", "null"), replaced(good, kAssignment, "rol_x"),
        replaced(good, R"({"a":1})", "7"), replaced(good, "[{", "[7,{"),
        replaced(good, "[" + entry + "]", "[" + entry + "," + entry + "]"), many}) {
    EXPECT_FALSE(parse_roles(bad)) << bad.substr(0, 300);
  }
}

TEST(Snapshots, RefuseHostileAccess) {
  const std::string good = access();
  for (const std::string& bad :
       {replaced(good, std::string(64, 'a'), std::string(63, 'a')),
        replaced(good, std::string(64, 'a'), std::string(64, 'g')),
        replaced(good, "\"resources\"", "\"resorces\""), replaced(good, "[{\"kid", "[7,{\"kid")}) {
    EXPECT_FALSE(parse_access(bad)) << bad.substr(0, 400);
  }
}

std::string nested(int levels) {
  std::string out;
  for (int i = 0; i < levels; ++i) out += "{\"a\":";
  return out + "1" + std::string(static_cast<std::size_t>(levels), '}');
}

// What one organization wrote must not take the others' resources from the node.
TEST(Snapshots, OneHostileResourceIsLeftOutAndTheOthersStay) {
  const std::string good = access();
  const auto from = good.find("[{\"resource_id") + 1;
  const std::string entry = good.substr(from, good.rfind(']') - from);
  const std::string options = R"({"user":"demo"})";
  for (const std::string& bad :
       {std::string("7"), std::string("{}"), replaced(entry, "2222", "0"),
        replaced(entry, "2222", "65536"), replaced(entry, "127.0.0.1", ""),
        replaced(entry, "127.0.0.1", std::string(300, 'h')), replaced(entry, kSecret, "sec_x"),
        replaced(entry, kOrganization, "org_x"), replaced(entry, options, "[]"),
        replaced(entry, options, "{\"x\":\"" + std::string(20'000, 'x') + "\"}"),
        replaced(entry, options, nested(9)), replaced(entry, options, nested(31)),
        replaced(entry, "\"target\"", "\"tarjet\""), entry}) {
    auto out = parse_access(replaced(good, entry, entry + "," + bad));
    ASSERT_TRUE(out) << out.error().text() << bad.substr(0, 400);
    EXPECT_EQ(out->resources.size(), 1u);
    EXPECT_EQ(out->left_out, 1u) << bad.substr(0, 400);
    EXPECT_LT(out->left_out_why.size(), 200u);
    EXPECT_FALSE(out->left_out_why.empty());
  }
  EXPECT_EQ(parse_access(replaced(good, options, nested(8)))->left_out, 0u);
  EXPECT_EQ(parse_access(good)->left_out, 0u);
}

TEST(Snapshots, APeerDirectoryIsForThisNode) {
  const std::string good =
      R"({"format":1,"cluster_id":")" + kCluster + R"(","node_id":")" + kNode + R"(","nodes":[]})";
  const auto check = [](const std::string& text) {
    const Status said = check_peer_directory(text, kCluster, kNode);
    return said ? Errc{} : said.error().code;
  };
  EXPECT_TRUE(check_peer_directory(good, kCluster, kNode));
  EXPECT_EQ(check(replaced(good, kCluster, "cls_other")), Errc::forbidden);
  EXPECT_EQ(check(replaced(good, kNode, "nod_other")), Errc::forbidden);
  EXPECT_EQ(check(replaced(good, "\"" + kNode + "\"", "7")), Errc::forbidden);
  EXPECT_EQ(check("{}"), Errc::forbidden);
  EXPECT_EQ(check("[]"), Errc::malformed);
  for (const std::string& bad : {std::string(), good.substr(1), replaced(good, "[]", nested(9)),
                                 good + std::string(kSnapshotBytesMax, ' ')}) {
    EXPECT_FALSE(check_peer_directory(bad, kCluster, kNode)) << bad.substr(0, 200);
  }
}

TEST(Snapshots, DeepNestingIsRefused) {
  EXPECT_FALSE(parse_access(std::string(100'000, '[')));
}

}  // namespace
}  // namespace rap::agent
