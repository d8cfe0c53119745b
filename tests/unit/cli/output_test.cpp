#include "cli/output.hpp"

#include <gtest/gtest.h>

#include <clocale>

#include <boost/json.hpp>

namespace rap::cli {
namespace {

namespace json = boost::json;

const std::vector<Column> kColumns = {
    {"NAME", "name"}, {"STATE", "state"}, {"HOST", "target.host"}};

json::array items() {
  return json::parse(R"([{"name":"web","state":"active","target":{"host":"10.0.0.1"}},
                         {"name":"a longer name","state":"failed","target":null},
                         {"name":"evil\u001b[2J\n","state":null}])")
      .as_array();
}

TEST(Output, AlignsOnATerminal) {
  EXPECT_EQ(render_list(items(), kColumns, {Format::table, false}),
            "NAME           STATE   HOST\n"
            "web            active  10.0.0.1\n"
            "a longer name  failed  -\n"
            "evil [2J       -       -\n");
  const std::string colored = render_list(items(), kColumns, {Format::automatic, true});
  EXPECT_NE(colored.find("\033[32mactive\033[0m  10.0.0.1"), std::string::npos) << colored;
  EXPECT_NE(colored.find("\033[31mfailed\033[0m  -"), std::string::npos);
}

TEST(Output, IsOneLinePerItemInAPipe) {
  EXPECT_EQ(
      render_list(items(), kColumns, {Format::automatic, false}),
      "NAME\tSTATE\tHOST\nweb\tactive\t10.0.0.1\na longer name\tfailed\t-\nevil [2J \t-\t-\n");
}

TEST(Output, IsJsonWhenAsked) {
  const std::string text = render_list(items(), kColumns, {Format::json, true});
  EXPECT_EQ(json::parse(text), json::value(items()));
  EXPECT_EQ(render_list({}, kColumns, {Format::json, true}), "[]\n");
  EXPECT_EQ(render_list({}, kColumns, {Format::table, true}), "(none)\n");
}

TEST(Output, LeavesNothingThatATerminalActsOn) {
  EXPECT_EQ(printable("a\x1b[2J\r\n\tb\x7f."), "a [2J   b .");
  EXPECT_EQ(printable("C1 \xc2\x9b"
                      "2J \xc2\x85."),
            "C1  2J  .");
  EXPECT_EQ(printable("Zo\xc3\xab \xc2\xa1 \xe2\x82\xac \xf0\x9f\x98\x80"),
            "Zo\xc3\xab \xc2\xa1 \xe2\x82\xac \xf0\x9f\x98\x80");
  // A lone C1 byte, cut characters, a longer form of a control character.
  EXPECT_EQ(printable("\x9b[2J\xff"), "?[2J?");
  EXPECT_EQ(printable("\xe2\x82"), "??");
  EXPECT_EQ(printable("\xc0\x9b \xe0\x80\x9b \xf0\x80\x80\x9b"), "?? ??? ????");
  EXPECT_EQ(printable_lines("a\n  b\r\x1b"), "a\n  b  ");
  const json::value evil = json::parse(R"({"x":"\u009b2J\u007f\u001b","k\u0090":["\u0085",{}]})");
  const std::string text = render_one(evil, {}, {Format::json, true});
  EXPECT_EQ(text.find_first_of("\x1b\x7f\xc2"), std::string::npos) << text;
  EXPECT_EQ(json::parse(text), evil);
}

TEST(Output, ShowsOneThingLineByLine) {
  EXPECT_EQ(render_one(json::parse(R"({"name":"x","owner":true,"roles":["a","b"],"n":3})"),
                       {{"Name", "name"}, {"Is owner", "owner"}, {"Roles", "roles"}, {"N", "n"}},
                       {Format::automatic, false}),
            "Name:     x\nIs owner: yes\nRoles:    a,b\nN:        3\n");
}

TEST(Output, LooksIntoObjectsAndNothingElse) {
  const json::value value = json::parse(R"({"a":{"b":{"c":1}},"l":[{"name":"n"},7],"e":""})");
  EXPECT_EQ(text_at(value, "a.b.c"), "1");
  EXPECT_EQ(text_at(value, "a.x.c"), "-");
  EXPECT_EQ(text_at(value, "a.b.c.d"), "-");
  EXPECT_EQ(text_at(value, "l"), "n,7");
  EXPECT_EQ(text_at(value, "e"), "-");
  EXPECT_EQ(text_at(json::value(7), "a"), "-");
}

TEST(Output, KnowsHowWideCharactersAre) {
  if (!std::setlocale(LC_CTYPE, "C.UTF-8")) GTEST_SKIP() << "no UTF-8 locale here";
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("\xc3\xa4"), 1u);
  EXPECT_EQ(display_width("\xe4\xb8\xad"), 2u);
  EXPECT_EQ(display_width("\xff"), 1u);
}

}  // namespace
}  // namespace rap::cli
