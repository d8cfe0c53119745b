#include "plugins/ssh/screen.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "plugins/ssh/output_boundary.hpp"

namespace rap::ssh {
namespace {

std::string dump(Screen& screen) {
  std::string out;
  const Grid& grid = screen.grid();
  for (int row = 0; row < grid.rows(); ++row) {
    for (int col = 0; col < grid.cols(); ++col) {
      const std::uint32_t code = grid.at(row, col).chars[0];
      out += code == 0 ? '.' : code < 0x80 ? static_cast<char>(code) : '#';
    }
    out += '\n';
  }
  return out;
}

// Blank cells look alike whatever they were blanked with, except for the background.
bool look_alike(const Cell& a, const Cell& b) {
  const bool blank_a = a.chars[0] == 0 || (a.chars[0] == ' ' && a.chars[1] == 0);
  const bool blank_b = b.chars[0] == 0 || (b.chars[0] == ' ' && b.chars[1] == 0);
  if (blank_a && blank_b && !a.pen.reverse && !b.pen.reverse && !a.pen.underline &&
      !b.pen.underline && !a.pen.strike && !b.pen.strike) {
    return vterm_color_is_equal(&a.pen.background, &b.pen.background);
  }
  return same(a, b);
}

void expect_same(Screen& a, Screen& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  const Grid& ga = a.grid();
  const Grid& gb = b.grid();
  for (int row = 0; row < ga.rows(); ++row) {
    for (int col = 0; col < ga.cols(); ++col) {
      ASSERT_TRUE(look_alike(ga.at(row, col), gb.at(row, col)))
          << what << ": row " << row << " column " << col << "\n"
          << dump(a) << "\n"
          << dump(b);
    }
  }
  EXPECT_EQ(a.cursor().row, b.cursor().row) << what;
  EXPECT_EQ(a.cursor().col, b.cursor().col) << what;
  EXPECT_EQ(a.title(), b.title()) << what;
  EXPECT_EQ(a.modes().cursor_visible, b.modes().cursor_visible) << what;
  EXPECT_EQ(a.modes().cursor_blink, b.modes().cursor_blink) << what;
  EXPECT_EQ(a.modes().cursor_shape, b.modes().cursor_shape) << what;
  EXPECT_EQ(a.modes().alternate_screen, b.modes().alternate_screen) << what;
  EXPECT_EQ(a.modes().reverse_video, b.modes().reverse_video) << what;
  EXPECT_EQ(a.modes().mouse, b.modes().mouse) << what;
}

// Paints `bytes` on one screen, its repaint on another that shows something else, and compares
// them, also after both went on with the same bytes.
void check(const std::string& bytes, ScreenSize size = {40, 10}) {
  Screen first(size);
  first.write(bytes);
  Screen second(size);
  second.write(
      "\033[?1049h\033[7mother "
      "things\033[3;5r\033[?6h\033[?1000h\033[?25l\033[4h\033[5;2H\033[?1hxyz");
  second.write(first.repaint());
  expect_same(first, second, bytes);
  // What cannot be seen (scroll region, attributes, modes) shows in what follows.
  for (const std::string_view next :
       {"more\r\n", "\n\n\nand\033[2Kmore", "\033M\033M\033M\033Mup", "\033[?1047lout"}) {
    first.write(next);
    second.write(next);
    expect_same(first, second, bytes + std::string(next));
  }
  EXPECT_EQ(first.repaint(), second.repaint()) << bytes;
}

TEST(Screen, RepaintShowsTheSameScreen) {
  for (const std::string bytes : {
           "",
           "hello",
           "two\r\nlines\r\n",
           "\033[31mred\033[0m plain \033[1;4;38;5;200mbold\033[0m \033[48;2;1;2;3mtrue\033[0m",
           "\033[91;102mbright\033[0;3;5;7;9mall\033[21mdouble\033[4:3mcurly",
           "\033[44mblue to the end\033[K\r\n\033[K\033[2Bbelow",
           "\033[?25lhidden",
           "\033[3 qunderline \033[6 qbar",
           "\033]2;a title \xc3\xa4\033\\text",
           "caf\xc3\xa9 \xe4\xb8\xad\xe6\x96\x87 e\xcc\x81 \xf0\x9f\x98\x80 end",
           "\xe4\xb8\xad\xe6\x96\x87\xe4\xb8\xad\033[1;2Hx",  // half of a wide character
                                                              // overwritten
           "\033[3;8r\033[8;1Hbottom of the region",
           "\033[3;8r\033[?6h\033[2;3Horigin",
           "primary\r\nsecond\033[?1049h\033[2J\033[Halternate",
           "\033[?1h\033=\033[?2004h\033[?1000h\033[?1006hkeys",
           "\033[?1002h\033[?1004hdrag",
           "\033[?1003hmove",
           "\033[?5hreverse",
           "\033[?7lno wrap: 0123456789012345678901234567890123456789",
           "wraps: 0123456789012345678901234567890123456789",
           "\033#8",
           "\033(0lqqqk\033(B box",
           "1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n9\r\n10\r\n11\r\n12\033[3;1H\033[2L\033[M\033["
           "5;3H\033[3P\033[2@",
       }) {
    check(bytes);
  }
}

TEST(Screen, RepaintRestoresTheKeypadAndCursorKeys) {
  Screen screen({40, 10});
  screen.write("\033[?1h\033=");
  const std::string bytes = screen.repaint();
  EXPECT_NE(bytes.find("\033[?1h"), std::string::npos);
  EXPECT_NE(bytes.find("\033="), std::string::npos);
  screen.write("\033[?1l\033>");
  EXPECT_NE(screen.repaint().find("\033>"), std::string::npos);
}

TEST(Screen, LeavingTheAlternateScreenShowsThePrimaryOne) {
  Screen first({20, 5});
  first.write("shell prompt\r\n\033[?1049h\033[2J\033[Heditor");
  Screen second({20, 5});
  second.write(first.repaint());
  second.write("\033[?1049l");
  EXPECT_EQ(dump(second).substr(0, 20), "shell prompt........") << dump(second);
}

std::string random_output(std::mt19937& random) {
  static const char* const kPieces[] = {
      "text",
      "\r\n",
      "\n",
      "\r",
      "\t",
      "\b",
      "\033[31m",
      "\033[0m",
      "\033[1m",
      "\033[7m",
      "\033[44m",
      "\033[H",
      "\033[2J",
      "\033[K",
      "\033[1K",
      "\033[J",
      "\033[5;10H",
      "\033[A",
      "\033[3B",
      "\033[7C",
      "\033[2D",
      "\033[2;7r",
      "\033[r",
      "\033[L",
      "\033[2M",
      "\033[3@",
      "\033[2P",
      "\033[4X",
      "\033[S",
      "\033[T",
      "\033M",
      "\033D",
      "\033E",
      "\0337",
      "\0338",
      "\033[?1049h",
      "\033[?1049l",
      "\033[?25l",
      "\033[?25h",
      "\xc3\xa4",
      "\xe4\xb8\xad",
      "e\xcc\x81",
      "0123456789",
      "\033[38;5;99m",
      "\033[48;2;9;8;7m",
      "\033[?6h",
      "\033[?6l",
      "\033[4 q",
  };
  std::string out;
  for (int i = 0; i < 120; ++i) out += kPieces[random() % std::size(kPieces)];
  return out;
}

TEST(Screen, RepaintShowsTheSameScreenForRandomOutput) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    std::mt19937 random(seed);
    const std::string bytes = random_output(random);
    Screen first({30, 8});
    first.write(bytes);
    Screen second({30, 8});
    second.write(first.repaint());
    expect_same(first, second, "seed " + std::to_string(seed));
    if (HasFatalFailure()) return;
  }
}

std::string random_lines(std::mt19937& random, std::size_t bytes) {
  std::string out;
  while (out.size() < bytes) {
    const unsigned length = random() % 100;
    for (unsigned i = 0; i < length; ++i) {
      if (random() % 40 == 0) {
        out += "\xe4\xb8\xad";
      } else if (random() % 60 == 0) {
        out += '\t';
      } else {
        out += static_cast<char>(' ' + random() % 95);
      }
    }
    out += "\r\n";
    if (random() % 300 == 0) out += "\r";
    if (random() % 300 == 0) out += "\n";
  }
  return out;
}

// Plain text that has scrolled away is not interpreted; the screen must not show the difference.
TEST(Screen, SkippingWhatScrolledAwayChangesNothing) {
  static const char* const kBefore[] = {"",
                                        "\033[2J\033[Hstarts at the top",
                                        "\033[41mred\033[5;7H",
                                        "\033[3;6r\033[4;1H",
                                        "\033[?1049h",
                                        "\033[?7l",
                                        "\033#6wide",
                                        "\033[2;9r\033[r\033[8;1H",
                                        "\033[?69h\033[5;20s"};
  for (unsigned seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    const std::string bytes = random_lines(random, 20'000 + random() % 20'000) + "last line";
    const std::string before = kBefore[seed % std::size(kBefore)];
    Screen slow({60, 10});
    slow.write(before);
    slow.settle();
    OutputBoundary boundary;
    for (std::size_t at = 0; at < bytes.size();) {  // too little at a time to skip any
      const std::size_t count = boundary.advance(std::string_view(bytes).substr(at, 500));
      slow.write(std::string_view(bytes).substr(at, count));
      slow.settle();
      boundary.reset();
      at += count;
    }
    Screen fast({60, 10});
    fast.write(before);
    fast.settle();
    fast.write(bytes);
    expect_same(slow, fast, "seed " + std::to_string(seed));
    if (HasFatalFailure()) return;
  }
}

// Wherever it stands: text is looked at in words of eight bytes.
TEST(Screen, AnAttributeSetInTextThatScrolledAwayStaysSet) {
  std::string lines;
  for (int i = 0; i < 1000; ++i) lines += "0123456789\r\n";
  for (std::size_t at = 0; at <= 16; ++at) {
    const std::string first = std::string(at, 'x') + "\033[7m\r\n";
    Screen slow({60, 10});
    slow.write(first);
    slow.settle();
    slow.write(lines + "end");
    Screen fast({60, 10});
    fast.write(first + lines + "end");
    expect_same(slow, fast, "at " + std::to_string(at));
    if (HasFatalFailure()) return;
  }
}

TEST(Screen, KeepsWhatWasWrittenLastWhenItGetsShorter) {
  Screen screen({20, 6});
  screen.write("1\r\n2\r\n3\r\n4\r\n5\r\n6");
  screen.resize({20, 3});
  EXPECT_EQ(dump(screen), "4...................\n5...................\n6...................\n");
  EXPECT_EQ(screen.cursor().row, 2);
  screen.resize({30, 8});
  screen.write("\r\n7");
  EXPECT_EQ(screen.cursor().row, 3);
  screen.resize({1, 1});
  screen.resize({1000, 250});
  screen.write("back");
}

TEST(Screen, SurvivesAnySize) {
  for (const auto& [cols, rows] :
       {std::pair{0u, 0u}, {1u, 1u}, {1u, 1000u}, {4'000'000'000u, 1u}, {5000u, 5000u}, {2u, 3u}}) {
    Screen screen(clamp_size(cols, rows));
    std::mt19937 random(7);
    for (int i = 0; i < 5; ++i) {
      screen.write(random_output(random));
      screen.resize(clamp_size(1 + random() % 90, 1 + random() % 40));
      screen.repaint();
    }
  }
}

// libvterm 0.1.4 writes past its end for these.
TEST(Screen, LeavesOutSequencesWithTooManyParameters) {
  const std::string many(60, ';');
  for (const std::string& hostile :
       {"\033[" + many + "m", "\033[?" + many + "105r", "\033[" + std::string(40, ':') + "m",
        "\033\a[" + many + "m", "\033\x7f[" + many + "m", "\033[1" + many + "\a" + many + "H",
        "\033]2;\033[" + many + "m", "\033[" + many}) {
    Screen screen({40, 10});
    screen.write("a" + hostile + "\030" + "b");
    EXPECT_EQ(dump(screen).substr(0, 2), "ab") << testing::PrintToString(hostile);
  }
  Screen screen({40, 10});
  screen.write("\033[0;1;2;3;4;5;6;7;8;9;0;1;2;3;4;31mx");  // 16 are fine
  EXPECT_EQ(screen.grid().at(0, 0).pen.foreground.indexed.idx, 1);
}

// libvterm 0.1.4 gives these a width of -1.
TEST(Screen, CharactersThatAreNoneStayInsideTheLine) {
  for (const char* hostile : {"\xc2\x8e", "\xc2\x80\xc2\x9f", "\xe4\xb8\xad\r\xc2\x8e"}) {
    Screen screen({4, 2});
    for (int i = 0; i < 20; ++i) screen.write(hostile);
    screen.write("\033[2J\033[1;1Hab");
    EXPECT_EQ(dump(screen).substr(0, 2), "ab") << testing::PrintToString(hostile);
  }
}

// libvterm 0.1.4 does not come back from these.
TEST(Screen, RepeatsOnlyWhatHasAWidth) {
  for (const char* hostile : {"\033[5b", "\xc2\x8e\033[5b", "\033[2;5b", "\033[\r9b",
                              "\033\xff\xff[2;5b", "\033[5\033[2bb",
                              "\033[5\xff"
                              "b",
                              "x\033c\033[5b", "x\033[?1049h\033[9999999999b"}) {
    Screen screen({40, 10});
    screen.write(std::string(hostile) + "\033[2J\033[1;1Hab");
    EXPECT_EQ(dump(screen).substr(0, 2), "ab") << testing::PrintToString(hostile);
  }
  Screen screen({40, 10});
  screen.write("x\033[3b");
  EXPECT_EQ(dump(screen).substr(0, 4), "xxxx");
}

TEST(Screen, HoldsASequenceUntilItsEndComes) {
  for (const std::string text : {"\033[5b", "x\033[2b", "\033\xff[7b", "a\033[2;3Hb"}) {
    Screen whole({40, 10});
    whole.write(text);
    Screen pieces({40, 10});
    for (const char byte : text) {
      pieces.write(std::string_view(&byte, 1));
      (void)dump(pieces);  // interprets what is there
    }
    EXPECT_EQ(dump(pieces), dump(whole)) << testing::PrintToString(text);
  }
}

TEST(Screen, AMarginThatASmallerScreenLacksIsGone) {
  Screen screen({1, 41});
  screen.write("\033[3r");
  screen.resize({41, 1});
  screen.write("a\r\nb\r\nc");
  EXPECT_EQ(dump(screen).substr(0, 1), "c");
}

// libvterm 0.1.4 restores a cursor wherever it was.
TEST(Screen, ARestoredCursorIsInsideASmallerScreen) {
  for (const char* restore : {"\0338", "\033[?1048l", "\033[?1049l", "\033[u"}) {
    Screen screen({90, 50});
    screen.write("\033[50;90H\0337");
    screen.resize({3, 2});
    screen.write(std::string(restore) + "a");
    EXPECT_EQ(dump(screen), "...\n..a\n") << testing::PrintToString(restore);
  }
}

// Lines below the cursor stay when the screen gets shorter, but the cursor stays too.
TEST(Screen, TheCursorIsNeverAboveTheFirstLine) {
  Screen screen({4, 6});
  screen.write("1\r\n2\r\n3\r\n4\r\n5\r\n6\033[1;2H");
  screen.resize({4, 3});
  EXPECT_EQ(screen.cursor().row, 0);
  screen.write("x");
  EXPECT_EQ(dump(screen), "4x..\n5...\n6...\n");
}

TEST(Screen, AnswersQuestionsForATerminalNobodyLooksAt) {
  Screen screen({40, 10});
  screen.write("\033[3;4H\033[6n");
  screen.repaint();  // asks questions of its own
  EXPECT_EQ(screen.take_replies(), "\033[3;4R");
  EXPECT_EQ(screen.take_replies(), "");
}

}  // namespace
}  // namespace rap::ssh
