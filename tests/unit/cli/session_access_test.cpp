#include "cli/session_access.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace rap::cli {
namespace {

namespace json = boost::json;

constexpr const char* kCluster = "cls_00000000000000000000000000";

json::object good() {
  return {{"session", {{"id", "ses_1"}, {"cluster_id", kCluster}}},
          {"lease", "node.lease.x"},
          {"node", {{"endpoint", "n:1"}, {"spiffe_id", "spiffe://n"}, {"cluster_ca_pem", "CA"}}},
          {"mesh",
           {{"entries", {"a:443", "b:443"}},
            {"service",
             std::string("spiffe://") + kCluster + "/service/svc_" + "00000000000000000000000001"},
            {"carry", "carry.lease.x"},
            {"carry_expires_at", "2026-11-21T19:37:37Z"},
            {"lease", "mesh.lease.x"},
            {"cluster_ca_pem", "CA"}}}};
}

TEST(SessionAccess, ReadsBothWays) {
  const auto both = parse_session_access(good());
  ASSERT_TRUE(both) << both.error().text();
  EXPECT_EQ(both->session_id, "ses_1");
  EXPECT_EQ(both->mesh->entries, (std::vector<std::string>{"a:443", "b:443"}));
  EXPECT_EQ(both->mesh->service, "svc_00000000000000000000000001");
  EXPECT_EQ(both->mesh->lease, "mesh.lease.x");
  EXPECT_EQ(both->mesh->carry.lease, "carry.lease.x");
  EXPECT_EQ(to_rfc3339(both->mesh->carry.expires_at), "2026-11-21T19:37:37Z");
  EXPECT_EQ(both->node->lease, "node.lease.x");

  json::object one = good();
  one.erase("mesh");
  EXPECT_FALSE(parse_session_access(one)->mesh);
  one = good();
  one.erase("node");
  one.erase("lease");
  EXPECT_TRUE(parse_session_access(one)->mesh);
  EXPECT_FALSE(parse_session_access(one)->node);
}

TEST(SessionAccess, RefusesWhatIsNoAnswerAndNamesTheMember) {
  struct Case {
    const char* pointer;
    const char* value;  // null: taken away
    const char* named;
  };
  const Case cases[] = {
      {"/session", nullptr, "session"},
      {"/session", "7", "session"},
      {"/session/id", nullptr, "id"},
      {"/session/id", "\"\"", "id"},
      {"/session/cluster_id", "[]", "cluster_id"},
      {"/lease", nullptr, "lease"},
      {"/node", "\"n:1\"", "node"},
      {"/node/endpoint", nullptr, "endpoint"},
      {"/node/cluster_ca_pem", "null", "cluster_ca_pem"},
      {"/mesh", "[]", "mesh"},
      {"/mesh", "{}", "mesh"},
      {"/mesh/entries", "[]", "entries"},
      {"/mesh/entries", "\"a:443\"", "entries"},
      {"/mesh/entries", "[\"a:443\",7]", "entries"},
      {"/mesh/entries", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", "entries"},
      {"/mesh/service", "\"svc_00000000000000000000000001\"", "service"},
      {"/mesh/service", "\"spiffe://cls_1/service/svc_00000000000000000000000001\"", "service"},
      {"/mesh/service", "\"spiffe://cls_00000000000000000000000000/node/x/mesh\"", "service"},
      {"/mesh/service",
       "\"spiffe://cls_00000000000000000000000000/node/nod_00000000000000000000000001/mesh\"",
       "service"},
      {"/mesh/carry", nullptr, "carry"},
      {"/mesh/carry_expires_at", "\"tomorrow\"", "time"},
      {"/mesh/carry_expires_at", "1795000000", "carry_expires_at"},
      {"/mesh/lease", nullptr, "lease"},
      {"/mesh/cluster_ca_pem", "{}", "cluster_ca_pem"},
  };
  for (const Case& c : cases) {
    json::value answer = good();
    const std::string pointer = c.pointer;
    const auto cut = pointer.rfind('/');
    json::object& object = answer.at_pointer(pointer.substr(0, cut)).as_object();
    if (c.value == nullptr) {
      object.erase(pointer.substr(cut + 1));
    } else {
      object[pointer.substr(cut + 1)] = json::parse(c.value);
    }
    const auto access = parse_session_access(answer);
    ASSERT_FALSE(access) << c.pointer << " " << (c.value ? c.value : "");
    EXPECT_NE(access.error().detail.find(c.named), std::string::npos)
        << c.pointer << ": " << access.error().detail;
  }
  for (const char* text : {"null", "[]", "7", "{}"}) {
    EXPECT_FALSE(parse_session_access(json::parse(text))) << text;
  }
  json::object none = good();
  none.erase("mesh");
  none["node"] = nullptr;
  EXPECT_EQ(parse_session_access(none).error().code, Errc::invalid) << "no way";
}

}  // namespace
}  // namespace rap::cli
