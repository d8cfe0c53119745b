#include "cli/mesh_trace.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace rap::cli {
namespace {

namespace json = boost::json;

json::object good() {
  return {{"entries", {"a:443"}},
          {"target", "spiffe://cls_1/service/svc_00000000000000000000000001"},
          {"authority", "svc_00000000000000000000000001.service.rap.internal:1"},
          {"carry", "c"},
          {"carry_expires_at", "2026-11-21T19:37:37Z"},
          {"cluster_ca_pem", "CA"}};
}

TEST(MeshTrace, ReadsTheRightToTrace) {
  const auto access = parse_trace_access(good());
  ASSERT_TRUE(access) << access.error().text();
  EXPECT_EQ(access->target.id, "svc_00000000000000000000000001");
  EXPECT_EQ(access->entries, std::vector<std::string>{"a:443"});
}

TEST(MeshTrace, RefusesWhatIsNoAnswerAndNamesTheMember) {
  const std::pair<const char*, const char*> cases[] = {
      {"entries", "[]"},        {"entries", "7"},
      {"entries", "[null]"},    {"authority", "\"svc_1.service.rap.internal:1\""},
      {"authority", "\"x:1\""}, {"authority", "[]"},
      {"carry", "7"},           {"cluster_ca_pem", "null"},
  };
  for (const auto& [member, value] : cases) {
    json::object answer = good();
    answer[member] = json::parse(value);
    const auto access = parse_trace_access(answer);
    ASSERT_FALSE(access) << member << " " << value;
    EXPECT_NE(access.error().detail.find(member), std::string::npos) << access.error().detail;
  }
  for (const char* member : {"entries", "authority", "carry", "cluster_ca_pem"}) {
    json::object answer = good();
    answer.erase(member);
    EXPECT_FALSE(parse_trace_access(answer)) << member;
  }
  EXPECT_FALSE(parse_trace_access(json::array{}));
}

TEST(MeshTrace, ALinkIsWhatItsNodesDifferBy) {
  EntryTrace trace;
  trace.opened_ms = 10;
  trace.hops = {{"nod_a", 7}, {"nod_b", 2.5}, {"nod_c", 3}};
  EXPECT_DOUBLE_EQ(link_ms(trace, 0), 3);
  EXPECT_DOUBLE_EQ(link_ms(trace, 1), 4.5);
  EXPECT_DOUBLE_EQ(link_ms(trace, 2), 0) << "a node that says less than the next one";
}

TEST(MeshTrace, QuantilesAreFiguresThatWereSeen) {
  EXPECT_EQ(quantile({7}, 0.99), 7);
  EXPECT_EQ(quantile({1, 2, 3, 4}, 0.5), 2);
  EXPECT_EQ(quantile({1, 2, 3, 4}, 0.99), 4);
  std::vector<double> hundred;
  for (int i = 1; i <= 100; ++i) hundred.push_back(i);
  EXPECT_EQ(quantile(hundred, 0.99), 99);
}

}  // namespace
}  // namespace rap::cli
