#include "plugins/ssh/terminal_filter.hpp"

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <string_view>

namespace rap::ssh {
namespace {

using namespace std::literals;

std::string filtered(std::string_view bytes) {
  std::string out;
  TerminalFilter filter(40, 10, [&](std::string_view piece) { out += piece; });
  filter.feed(bytes);
  return out;
}

struct Row {
  std::string_view in;
  std::string_view out;
};

void expect_rows(std::span<const Row> rows) {
  for (const Row& row : rows) {
    EXPECT_EQ(filtered(row.in), row.out) << testing::PrintToString(row.in);
    // However it arrives.
    std::string pieces;
    TerminalFilter filter(40, 10, [&](std::string_view piece) { pieces += piece; });
    for (const char& byte : row.in) filter.feed({&byte, 1});
    EXPECT_EQ(pieces, row.out) << "byte by byte: " << testing::PrintToString(row.in);
  }
}

TEST(TerminalFilter, PassesWhatTerminalsUse) {
  const Row rows[] = {
      {"plain\r\n\ttext\b\a", "plain\r\n\ttext\b\a"},
      {"caf\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80"},
      {"\033[H\033[2J\033[5;7H\033[K", "\033[H\033[2J\033[5;7H\033[K"},
      {"\033[?25l\033[3 q\033[1\"q\033[c\033[>c\033[6n",
       "\033[?25l\033[3 q\033[1\"q\033[c\033[>c\033[6n"},
      {"\033(0q\033(B\033=\0337\033M", "\033(0q\033(B\033=\0337\033M"},
      {"\033]0;title\a", "\033]2;title\033\\"},
      {"\033P$qr\033\\", "\033P$qr\033\\"},
  };
  expect_rows(rows);
}

TEST(TerminalFilter, PutsSequencesInWordsThatLibvtermReadsAsXtermDoes) {
  const Row rows[] = {
      {"\033[?1;2004h", "\033[?1h\033[?2004h"},
      {"\033[0;1;38;5;9;4m", "\033[0m\033[1m\033[38;5;9m\033[4m"},
      {"\033[m", "\033[m"},
      {"\033[48;2;1;2;3;7m", "\033[48;2;1;2;3m\033[7m"},
      {"\033[4:3;31m", "\033[4:3m\033[31m"},
      {"\033[58;5;1;31m", "\033[31m"},
      {"\033[38;5m", ""},
      {"\033[s\033[u", "\0337\0338\033[0n"},
      {"\033[3;9s", ""},
      {"\033[?69h\033[3;9s", "\033[?69h\033[3;9s"},
      {"\033[?69h\033[s", "\033[?69h\033[1;40s"},
      {"\033[r", "\033[1;10r"},
      {"\033[3;99r", "\033[3;10r"},
      {"x\033[3b", "xxxx"},
      {"\xe4\xb8\xad\033[b", "\xe4\xb8\xad\xe4\xb8\xad"},
      {"\033[?1049l", "\033[?1049l\033[0n"},
      {"\033[1\r;2H", "\r\033[1;2H"},  // a control character in the middle takes effect first
  };
  expect_rows(rows);
}

// Each of these reaches memory that is not libvterm's in version 0.1.4, or never ends, or shows
// something that a terminal does not show.
TEST(TerminalFilter, LeavesOutWhatLibvtermCannotHold) {
  const Row rows[] = {
      {"a\xf0\xf0\033(0b",
       "a\xef\xbf\xbd\xef\xbf\xbd\033(0b"},  // a set switched inside a character
      {"\xf0\x9f\x98x", "\xef\xbf\xbdx"},
      {"\xc0\x80\xed\xa0\x80\xf5", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
      {"\xc2\x8e\xc2\x9b", ""},
      {"\033N\033O\033~\033 G", ""},
      {"\033([2;5b", "2;5b"},
      {"\033(Pq", "q"},
      {"\033[5\033[2b", ""},
      {"\033[5b", ""},
      {"x\r\033[5b", "x\r"},
      {"\033[3;2r\033[99;99r", ""},
      {"\033#3\033#6", ""},
      {"\033[1;2\xff", ""},
      {"\033[1$2m\033[1 $p\033[<1m", ""},
      {"\033[99999999999999999999A", "\033[9999A"},
      {"\033P$qx\033\\\033_secret\033\\\033^x\033\\\033Xx\033\\", ""},
      {"\033]2;cut\030text", "text"},
      {"\033]2;cut\033[1mtext", "\033[1mtext"},
      {"\033]2;a\nb\a", "\033]2;ab\033\\"},
      {"\033]52;c;AAAA\a", ""},
      {"\033\177[\1771m", "\033[1m"},
      {"a\0b\177"sv, "ab"},
  };
  expect_rows(rows);
}

TEST(TerminalFilter, LongSequencesAreLeftOutAndTitlesCut) {
  for (const std::string& many : {std::string(100, ';'), std::string(2000, '1'),
                                  std::string(2000, ' '), std::string(90, ':')}) {
    EXPECT_EQ(filtered("\033[" + many + "Hx"), "x") << many.size();
  }
  std::string many_attributes = "\033[0";
  for (int i = 0; i < 40; ++i) many_attributes += ";1";
  EXPECT_EQ(filtered(many_attributes + "m").size(), 4u + 40 * 4);
  EXPECT_LT(filtered("\033]2;" + std::string(100'000, 'x') + "\a").size(), 600u);
}

TEST(TerminalFilter, PiecesAreSmallAndWhole) {
  std::string bytes;
  for (int i = 0; i < 3000; ++i) bytes += "\xe4\xb8\xad\033[31m" + std::string(i % 7, 'x');
  bytes += std::string(20'000, 'y');
  std::string out;
  TerminalFilter filter(40, 10, [&](std::string_view piece) {
    EXPECT_LE(piece.size(), TerminalFilter::kPieceMax);
    EXPECT_NE(static_cast<unsigned char>(piece.front()) & 0xc0, 0x80);
    out += piece;
  });
  filter.feed(bytes);
  EXPECT_EQ(out, bytes);
}

TEST(TerminalFilter, MarksBeyondReasonWaitForTheNextCharacter) {
  std::string out;
  TerminalFilter* self = nullptr;
  TerminalFilter filter(40, 10, [&](std::string_view piece) {
    out += piece;
    self->too_many_marks();
  });
  self = &filter;
  filter.feed("e\xcc\x81");
  filter.feed("\xcc\x81\xcc\x82");
  EXPECT_EQ(out, "e\xcc\x81");
  filter.feed("\n\xcc\x81");
  EXPECT_EQ(out, "e\xcc\x81\n\xcc\x81");
}

}  // namespace
}  // namespace rap::ssh
