#include "cli/complete.hpp"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

namespace rap::cli {
namespace {

using Words = std::vector<std::string>;

struct Complete : testing::Test {
  Complete() {
    app.add_option("-o,--output", text);
    CLI::App* session = app.add_subcommand("session", "");
    session->add_subcommand("list", "")->add_option("--state", text);
    CLI::App* attach = session->add_subcommand("attach", "");
    attach->add_option("session", text);
    attach->add_flag("--view", flag);
    app.add_subcommand("secret", "");
    app.add_subcommand("hidden", "")->group("");
  }
  Words next(const Words& words) {
    asked.clear();
    const Offer offer =
        complete(app, words, [this](const std::string& path, const std::string& name) {
          asked = path + ": " + name;
          return Words{"json", "table", "active"};
        });
    files = offer.files;
    return offer.words;
  }
  CLI::App app{"", "rapctl"};
  std::string text, asked;
  bool flag = false;
  bool files = false;
};

TEST_F(Complete, FilesAreForFilesOnly) {
  CLI::App* put = app.add_subcommand("put", "");
  put->add_option("--from-file", text);
  put->add_option("name", text);
  CLI::App* give = app.add_subcommand("give", "");
  give->add_option("file", text);
  give->add_option("--file", text);
  for (const Words& words : {Words{"put", "--from-file", ""}, Words{"put", "--from-file=x"},
                             Words{"give", ""}, Words{"give", "--file", ""}}) {
    next(words);
    EXPECT_TRUE(files) << words.back();
  }
  for (const Words& words : {Words{"put", ""}, Words{"session", "attach", ""}, Words{""},
                             Words{"give", "a", ""}, Words{"give", "--f"}}) {
    next(words);
    EXPECT_FALSE(files) << words.back();
  }
}

TEST_F(Complete, CommandsOfTheGroupThatWasReached) {
  EXPECT_EQ(next({""}), (Words{"secret", "session"}));  // the hidden one is not offered
  EXPECT_EQ(next({"sess"}), (Words{"session"}));
  EXPECT_EQ(next({"session", ""}), (Words{"attach", "list"}));
  EXPECT_EQ(next({"session", "l"}), (Words{"list"}));
  EXPECT_EQ(next({}), Words{});
}

TEST_F(Complete, AFlagWithItsValueChangesNothingWhereverItStands) {
  EXPECT_EQ(next({"-o", "json", "session", "l"}), (Words{"list"}));
  EXPECT_EQ(next({"session", "-o", "json", "l"}), (Words{"list"}));
  EXPECT_EQ(next({"--output=json", "session", "l"}), (Words{"list"}));
  EXPECT_EQ(next({"--output", "=", "json", "session", "l"}), (Words{"list"}));  // bash cuts it so
}

TEST_F(Complete, ValuesOfFlags) {
  EXPECT_EQ(next({"session", "list", "-o", ""}), (Words{"active", "json", "table"}));
  EXPECT_EQ(asked, "session list: --output");
  EXPECT_EQ(next({"-o", "j"}), (Words{"json"}));
  EXPECT_EQ(next({"session", "list", "--state", "a"}), (Words{"active"}));
  EXPECT_EQ(asked, "session list: --state");
  EXPECT_EQ(next({"session", "list", "--state", "="}), (Words{"active", "json", "table"}));
  EXPECT_EQ(next({"session", "list", "--state", "=", "a"}), (Words{"active"}));
  EXPECT_EQ(next({"session", "list", "--state=a"}), (Words{"--state=active"}));
  EXPECT_EQ(next({"session", "list", "--nothing=a"}), Words{});
}

TEST_F(Complete, ArgumentsInTheirOrderAndNoMore) {
  EXPECT_EQ(next({"session", "attach", "a"}), (Words{"active"}));
  EXPECT_EQ(asked, "session attach: session");
  EXPECT_EQ(next({"session", "attach", "--view", "a"}), (Words{"active"}));  // takes no value
  EXPECT_EQ(next({"session", "attach", "ses_1", ""}), Words{});
}

TEST_F(Complete, FlagsWithThoseOfTheCommandsAround) {
  EXPECT_EQ(next({"session", "attach", "--"}), (Words{"--help", "--output", "--view"}));
  EXPECT_EQ(next({"session", "attach", "--v"}), (Words{"--view"}));
}

}  // namespace
}  // namespace rap::cli
