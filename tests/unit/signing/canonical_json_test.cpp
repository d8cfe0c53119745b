#include "signing/verify/canonical_json.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/json.hpp"

namespace {

using rap::Errc;
using rap::tuf::canonical_json;

struct Row {
  const char* input;
  const char* canonical;
};

TEST(CanonicalJson, OneFormPerValue) {
  const Row rows[] = {
      {R"({"b":1,"a":2})", R"({"a":2,"b":1})"},
      {R"( { "a" : [ 1 , true , null , false ] } )", R"({"a":[1,true,null,false]})"},
      {R"("a\n\t\u0001b")",
       "\"a\n\t\x01"
       "b\""},
      {R"("quote \" and \\ slash \/")", R"("quote \" and \\ slash /")"},
      {R"("\u00e9\ud83d\ude00")", "\"\xC3\xA9\xF0\x9F\x98\x80\""},
      // U+FFFF sorts before U+10000 by code point, after it in UTF-16.
      {R"({"\ud800\udc00":1,"\uffff":2})", "{\"\xEF\xBF\xBF\":2,\"\xF0\x90\x80\x80\":1}"},
      {R"({"a":1,"A":2,"":3,"aa":4,"é":5})", "{\"\":3,\"A\":2,\"a\":1,\"aa\":4,\"\xC3\xA9\":5}"},
      {"-17", "-17"},
      {"-0", "0"},
      {"9223372036854775807", "9223372036854775807"},
      {"-9223372036854775808", "-9223372036854775808"},
      {"18446744073709551615", "18446744073709551615"},
      {"[]", "[]"},
      {"{}", "{}"},
  };
  for (const Row& row : rows) {
    auto value = rap::parse_json(row.input);
    ASSERT_TRUE(value) << row.input;
    auto text = canonical_json(*value);
    ASSERT_TRUE(text) << row.input << ": " << text.error().text();
    EXPECT_EQ(*text, row.canonical) << row.input;
  }
}

TEST(CanonicalJson, KeepsNulBytes) {
  auto value = rap::parse_json(R"("a\u0000b")");
  ASSERT_TRUE(value);
  EXPECT_EQ(*canonical_json(*value), std::string("\"a\0b\"", 5));
}

TEST(CanonicalJson, RefusesWhatHasNoForm) {
  for (const char* text : {"1.0", "1e3", "[0.5]", R"({"a":-1.5})", "18446744073709551616"}) {
    auto value = rap::parse_json(text);
    ASSERT_TRUE(value) << text;
    auto canonical = canonical_json(*value);
    ASSERT_FALSE(canonical) << text;
    EXPECT_EQ(canonical.error().code, Errc::unsupported) << text;
  }
}

TEST(CanonicalJson, RefusesDeepNesting) {
  boost::json::value value = 1;
  for (int i = 0; i < 1000; ++i) value = boost::json::array{std::move(value)};
  auto canonical = canonical_json(value);
  ASSERT_FALSE(canonical);
  EXPECT_EQ(canonical.error().code, Errc::too_large);
}

}  // namespace
