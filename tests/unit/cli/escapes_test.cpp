#include "cli/terminal/escapes.hpp"

#include <gtest/gtest.h>

namespace rap::cli {
namespace {

struct Row {
  std::string_view typed;
  std::string_view sent;
  EscapeCommand command;
};

TEST(Escapes, KnowTheStartOfALine) {
  const Row rows[] = {
      {"~d", "", EscapeCommand::detach},
      {"~.", "", EscapeCommand::disconnect},
      {"~?", "", EscapeCommand::help},
      {"ls\r~d", "ls\r", EscapeCommand::detach},
      {"ls\n~.", "ls\n", EscapeCommand::disconnect},
      {"a~d", "a~d", EscapeCommand::none},
      {"~~d", "~d", EscapeCommand::none},
      {"~~~d", "~~d", EscapeCommand::none},
      {"~x", "~x", EscapeCommand::none},
      {"~\r~d", "~\r", EscapeCommand::detach},
      {"cd ~\r~~/bin\r", "cd ~\r~/bin\r", EscapeCommand::none},
      {"\003~d", "\003~d", EscapeCommand::none},
      {"", "", EscapeCommand::none},
      {"\xc3\xa4\r~", "\xc3\xa4\r", EscapeCommand::none},
  };
  for (const Row& row : rows) {
    Escapes escapes;
    std::string sent;
    EXPECT_EQ(escapes.feed(row.typed, sent), row.command) << row.typed;
    EXPECT_EQ(sent, row.sent) << row.typed;
    // The same, a byte at a time.
    Escapes slow;
    std::string slowly;
    EscapeCommand command = EscapeCommand::none;
    for (const char c : row.typed) command = slow.feed({&c, 1}, slowly);
    EXPECT_EQ(command, row.command) << row.typed;
    EXPECT_EQ(slowly, row.sent) << row.typed;
  }
}

TEST(Escapes, KeepWhatFollowsACommand) {
  Escapes escapes;
  std::string sent;
  EXPECT_EQ(escapes.feed("~?ls\r~dlost", sent), EscapeCommand::help);
  EXPECT_EQ(sent, "");
  EXPECT_EQ(escapes.feed({}, sent), EscapeCommand::detach);
  EXPECT_EQ(sent, "ls\r");
}

}  // namespace
}  // namespace rap::cli
