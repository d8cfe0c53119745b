#include "base/json.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace rap {
namespace {

TEST(ParseJson, RefusesWhatHasTwoReadings) {
  const std::string hostile[] = {
      R"({"a":1,"a":2})",
      R"({"x":{"b":1,"\u0062":2}})",
      "\xef\xbb\xbf{}",
      "{} {}",
      "{\"a\":\"\xff\"}",
      "[1,]",
      "01",
      "NaN",
      "2E990",
      "[-1e999]",
      "",
  };
  for (const std::string& text : hostile) {
    const auto value = parse_json(text);
    ASSERT_FALSE(value.has_value()) << text;
    EXPECT_EQ(value.error().code, Errc::malformed) << text;
  }
}

TEST(ParseJson, BoundsDepthAndSize) {
  const std::string deep = std::string(40, '[') + std::string(40, ']');
  EXPECT_EQ(parse_json(deep).error().code, Errc::too_large);
  EXPECT_EQ(parse_json("[1,2,3]", {.bytes_max = 3}).error().code, Errc::too_large);
}

TEST(ParseJson, SameNameInSiblingsIsFine) {
  EXPECT_TRUE(parse_json(R"([{"a":1},{"a":2}])").has_value());
}

}  // namespace
}  // namespace rap
