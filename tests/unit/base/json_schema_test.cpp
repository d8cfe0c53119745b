#include "base/schema/json_schema.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/json.hpp"

namespace rap {
namespace {

const char kSchema[] = R"({"type":"object","additionalProperties":false,"properties":{
  "port":{"type":"integer","minimum":1,"maximum":65535},
  "peers":{"type":"array","maxItems":2,"items":{"$ref":"#/$defs/peer"}},
  "nothing":{"type":"object","additionalProperties":false,"properties":{}},
  "peer":{"$ref":"#/$defs/peer"}},
  "$defs":{"peer":{"type":"object","required":["name"],"additionalProperties":false,
                   "properties":{"name":{"type":"string"}}}}})";

std::string judge(std::string_view document, std::string_view schema = kSchema) {
  auto said = check_against_schema(parse_json(document).value(), schema);
  return said ? *said : "!" + said.error().detail;
}

TEST(JsonSchema, TakesWhatFits) {
  EXPECT_EQ(judge("{}"), "");
  EXPECT_EQ(judge(R"({"port":22,"peers":[{"name":"a"}],"peer":{"name":"b"}})"), "");
  EXPECT_EQ(judge(R"({"anything":[1]})", R"({"type":"object"})"), "");
}

TEST(JsonSchema, NamesPlaceAndReason) {
  const struct {
    const char* document;
    const char* starts;
    const char* contains;
  } cases[] = {
      {R"({"port":0})", "/port: ", "1"},
      {R"({"port":"22"})", "/port: ", "want a whole number from 1 to 65535"},
      {R"({"port":2.5})", "/port: ", "want a whole number from 1 to 65535"},
      {R"({"prt":22})", "/prt: unknown key", "did you mean \"port\"?"},
      {R"({"nothing":{"x":1}})", "/nothing/x: unknown key", "no key is known here"},
      {R"({"peers":[{"name":"a"},{"name":1}]})", "/peers/1/name: ", "type"},
      {R"({"peers":[{},{},{}]})", "/peers", ""},
      {R"({"peers":[{"name":"a"},{"name":"b","x":1}]})", "/peers/1/x: unknown key", "name"},
      {R"({"peer":{"nam":"x"}})", "/peer/nam: unknown key", "did you mean \"name\"?"},
      {R"([])", "/: ", ""},
      {R"(null)", "/: ", ""},
  };
  for (const auto& each : cases) {
    const std::string said = judge(each.document);
    EXPECT_EQ(said.find(each.starts), 0u) << each.document << " -> " << said;
    EXPECT_NE(said.find(each.contains), std::string::npos) << each.document << " -> " << said;
  }
}

// A plugin brings its schema: what is none is said, and nothing runs for ever.
TEST(JsonSchema, RefusesWhatIsNoSchema) {
  const char* hostile[] = {
      "",
      "{",
      "[]",
      "true",
      R"({"type":5})",
      R"({"properties":[]})",
      R"({"$ref":"#"})",
      R"({"$ref":"#/a","a":{"$ref":"#/b"},"b":{"$ref":"#/a"}})",
      R"({"properties":{"a":{"$ref":"#"}}})",
      R"({"$ref":"#/nowhere"})",
      R"({"$ref":"http://example.org/schema"})",
      R"({"properties":{"a":{"type":"string","pattern":"("}}})",
      R"({"minLength":-1})",
      R"({"allOf":7})",
  };
  for (const char* schema : hostile) {
    EXPECT_EQ(judge(R"({"a":"b"})", schema).find('!'), 0u) << schema << judge("{}", schema);
  }
  std::string doubling = R"({"$ref":"#/$defs/d0","$defs":{"d40":{"type":"object"})";
  for (int i = 0; i < 40; ++i) {
    const std::string next = "\"#/$defs/d" + std::to_string(i + 1) + "\"";
    doubling += ",\"d" + std::to_string(i) + "\":{\"allOf\":[{\"$ref\":" + next +
                "},{\"$ref\":" + next + "}]}";
  }
  EXPECT_EQ(judge("{}", doubling + "}}").find('!'), 0u);
  EXPECT_EQ(judge("{}", std::string(300 << 10, ' ') + "{}").find('!'), 0u);
}

}  // namespace
}  // namespace rap
