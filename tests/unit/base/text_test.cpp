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

TEST(Utf8Prefix, EndsBetweenCharacters) {
  EXPECT_EQ(utf8_prefix("abc", 3), "abc");
  EXPECT_EQ(utf8_prefix("abc", 2), "ab");
  EXPECT_EQ(utf8_prefix("aü", 2), "a");
  EXPECT_EQ(utf8_prefix("aü", 3), "aü");
  EXPECT_EQ(utf8_prefix("🚀x", 3), "");
  EXPECT_EQ(utf8_prefix("🚀x", 4), "🚀");
  EXPECT_EQ(utf8_prefix("", 0), "");
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
