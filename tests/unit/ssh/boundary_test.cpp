#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "plugins/ssh/output_boundary.hpp"

namespace rap::ssh {
namespace {

using namespace std::literals;

struct Row {
  std::string_view bytes;
  std::size_t safe;
};

TEST(OutputBoundary, CutsOnlyBetweenWholeThings) {
  const Row rows[] = {
      {"", 0},
      {"abc", 3},
      {"abc\033", 3},
      {"abc\033[", 3},
      {"abc\033[31;1", 3},
      {"abc\033[31m", 8},
      {"abc\033[31mx", 9},
      {"\033(", 0},
      {"\033(B", 3},
      {"\033#8", 3},
      {"\033]2;title", 0},
      {"\033]2;title\007", 10},
      {"\033]2;title\033", 0},
      {"\033]2;title\033\\", 11},
      {"\033]2;title\033[1m", 13},  // a new sequence ends the string
      {"\033P1$r\033\\z", 8},
      {"\033[1\030z", 5},  // CAN
      {"\xc3", 0},
      {"a\xc3\xa4", 3},
      {"a\xe2\x82", 1},
      {"a\xf0\x9f\x98", 1},
      {"a\xf0\x9f\x98\x80", 5},
      {"\x80\x80\x80\x80", 4},  // broken anyway
      {"a\xff", 2},
  };
  for (const Row& row : rows) {
    OutputBoundary boundary;
    EXPECT_EQ(boundary.advance(row.bytes), row.safe) << testing::PrintToString(row.bytes);
    EXPECT_EQ(boundary.safe(), row.safe == row.bytes.size());
  }
}

// However a stream is cut into reads, the same places are safe.
TEST(OutputBoundary, RemembersWhatItIsInTheMiddleOf) {
  const std::string_view stream =
      "a\033[1;31mb\xe2\x82\xac"
      "c\033]0;x\033\\d\033(0q\033(B\xf0\x9f\x98\x80"
      "e";
  OutputBoundary whole;
  EXPECT_EQ(whole.advance(stream), stream.size());
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    OutputBoundary boundary;
    const std::size_t first = boundary.advance(stream.substr(0, cut));
    EXPECT_LE(first, cut);
    EXPECT_EQ(boundary.safe(), first == cut) << cut;
    EXPECT_EQ(boundary.advance(stream.substr(cut)), stream.size() - cut);
    EXPECT_TRUE(boundary.safe());
  }
}

}  // namespace
}  // namespace rap::ssh
