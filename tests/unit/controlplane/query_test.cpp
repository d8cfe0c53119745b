#include "controlplane/http/query.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "controlplane/http/shapes.hpp"

namespace rap::cp {
namespace {

const std::vector<QueryParameter> kKnown = {
    "limit", {"order", kOrderWords}, {"state", kSessionStateWords, QueryParameter::Many::several}};

Status check(const std::string& query) {
  net::HttpRequest request;
  request.target = "/v1/things?" + query;
  return check_query(request, kKnown);
}

TEST(Query, TakesWhatIsKnown) {
  for (const char* good :
       {"", "&", "limit=5", "limit=%35&order=newest", "state=active", "state=active,closed",
        "state=active%2Cclosed", "order=&state=", "limit=5&", "limit", "limit=a=b"}) {
    EXPECT_TRUE(check(good)) << good << ": " << check(good).error().text();
  }
}

TEST(Query, RefusesEveryThingElseWithWhatThereIs) {
  const std::pair<std::string, std::string> bad[] = {
      {"limits=5", "limit, order, state"},
      {"Limit=5", "limit, order, state"},
      {"limi%74=5", "limit, order, state"},
      {"=5", "limit, order, state"},
      {"limit=5&x=1", "no such query parameter: x"},
      {"order=up", "'up' is none of oldest, newest"},
      {"order=oldest,newest", "is none of oldest, newest"},
      {"state=nope", "opening, active, detached, closing, closed, failed"},
      {"state=active,", "'' is none of"},
      {"state=Active", "'Active' is none of"},
      {"state=active;closed", "is none of"},
      {"limit=1&limit=2", "limit: comes twice"},
      {"limit=%", "a broken %XX"},
      {"limit=%4", "a broken %XX"},
      {"limit=%zz", "a broken %XX"},
      {"limit=%00", "NUL"},
      {"state=%1b%5b2J", "'?[2J' is none of"},
      {std::string(5000, 'x') + "=1", "no such query parameter: xxx"},
  };
  for (const auto& [query, said] : bad) {
    const auto status = check(query);
    ASSERT_FALSE(status) << query;
    EXPECT_EQ(status.error().code, Errc::invalid);
    EXPECT_NE(status.error().detail.find(said), std::string::npos) << status.error().detail;
    EXPECT_LT(status.error().detail.size(), 300U);
  }
  net::HttpRequest request;
  request.target = "/livez?x";
  EXPECT_NE(check_query(request, {}).error().detail.find("there are none here"), std::string::npos);
}

TEST(Query, IsDescribedAsItIsChecked) {
  EXPECT_EQ(boost::json::serialize(query_schema(kKnown[0])), R"({"type":"string"})");
  EXPECT_EQ(boost::json::serialize(query_schema(kKnown[1])),
            R"({"type":"string","enum":["oldest","newest"]})");
  const auto several = query_schema({"s", "a|b", QueryParameter::Many::several});
  EXPECT_EQ(boost::json::serialize(several), R"({"type":"string","pattern":"^(a|b)(,(a|b))*$"})");
}

}  // namespace
}  // namespace rap::cp
