#include "base/text.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/json.hpp"

namespace rap {
namespace {

TEST(AsUtf8, KeepsTextAndReplacesTheRest) {
  EXPECT_EQ(as_utf8("Grüße 世界 🚀\n"), "Grüße 世界 🚀\n");
  EXPECT_EQ(as_utf8("a\xffz"), "a?z");
  EXPECT_EQ(as_utf8("\xc3"), "?");
  EXPECT_EQ(as_utf8("\xc0\x80"), "??");
  EXPECT_EQ(as_utf8("\xed\xa0\x80"), "???");
  EXPECT_EQ(as_utf8("\xf4\x90\x80\x80"), "????");
  EXPECT_EQ(as_utf8("\xe2\x82x"), "??x");
}

TEST(AsUtf8, IsAlwaysAJsonString) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const char bytes[] = {static_cast<char>(first), static_cast<char>(second), '\x80', '\x80'};
      const std::string text =
          boost::json::serialize(boost::json::value(as_utf8({bytes, sizeof bytes})));
      ASSERT_TRUE(parse_json(text)) << first << " " << second;
    }
  }
}

}  // namespace
}  // namespace rap
