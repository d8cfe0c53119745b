#include "base/commandline/program.hpp"

#include <gtest/gtest.h>

#include <sstream>

#include <CLI/CLI.hpp>

#include "base/commandline/unknown_words.hpp"

namespace rap::commandline {
namespace {

// A program with a group, a command with an argument, and one that takes a file as its first word.
struct Program {
  CLI::App app{"a program", "prog"};
  std::string output, file, word;
  Program() {
    app.require_subcommand(1);
    app.footer("\nExamples:\n  prog version\n");  // of the program; a command has its own
    CLI::App& node = add_command(app, "node", "a group");
    node.require_subcommand(1);
    add_command(node, "list", "needs nothing");
    add_command(node, "show", "needs a word", "  prog node show \\\n    n1\n  prog node show n2\n")
        .add_option("word", word)
        ->required();
    app.add_option("-o,--output", output);
    app.fallthrough();
    add_version_command(app, output);
  }
  std::string unknown(const std::vector<std::string>& words) { return explain_unknown(app, words); }
};

TEST(Program, NamesTheWordThatIsUnknown) {
  Program p;
  EXPECT_EQ(p.unknown({"nodes"}), "unknown command 'prog nodes'; did you mean 'prog node'?");
  EXPECT_EQ(p.unknown({"node", "lst"}),
            "unknown command 'prog node lst'; did you mean 'prog node list'?");
  EXPECT_EQ(p.unknown({"bogus"}), "unknown command 'prog bogus'");
  EXPECT_EQ(p.unknown({"-o", "json", "node", "lst"}),
            "unknown command 'prog node lst'; did you mean 'prog node list'?");
  EXPECT_EQ(p.unknown({"node", "list", "--ouput=json"}),
            "unknown flag '--ouput' of 'prog node list'; did you mean '--output'?");
  EXPECT_EQ(p.unknown({"node", "show", "anything"}), "");
}

TEST(Program, NamesTheCommandsWhenOneIsMissing) {
  Program p;
  EXPECT_EQ(p.unknown({}), "a command is missing after 'prog': node, version");
  EXPECT_EQ(p.unknown({"node"}), "a command is missing after 'prog node': list, show");
}

TEST(Program, AFirstWordMayBeAFile) {
  CLI::App app("checks", "prog");
  std::string file;
  app.add_option("file", file);
  add_command(app, "version", "its version").add_flag("--long");
  EXPECT_EQ(explain_unknown(app, {"versoin"}), "");
  EXPECT_EQ(explain_unknown(app, {"version", "--lon"}),
            "unknown flag '--lon' of 'prog version'; did you mean '--long'?");
}

TEST(Program, EveryHelpHasExamples) {
  Program p;
  const char* words[] = {"prog", "--help"};
  testing::internal::CaptureStdout();
  EXPECT_EQ(read_words(p.app, 2, words), 0);
  testing::internal::GetCapturedStdout();
  CLI::App* node = p.app.get_subcommand("node");
  EXPECT_EQ(node->get_subcommand("list")->get_footer(), "\nExamples:\n  prog node list\n");
  EXPECT_EQ(node->get_footer(),
            "\nExamples:\n  prog node list\n  prog node show \\\n    n1\n");  // one of each
}

TEST(Program, SaysItsVersion) {
  for (const bool json : {false, true}) {
    Program p;
    const char* words[] = {"prog", "version", "-o", "json"};
    testing::internal::CaptureStdout();
    EXPECT_EQ(read_words(p.app, json ? 4 : 2, words), std::nullopt);
    EXPECT_EQ(testing::internal::GetCapturedStdout(),
              json ? "{\"version\":\"" + product_version() + "\"}\n"
                   : "prog " + product_version() + "\n");
  }
}

TEST(Program, WrongWordsAreStatusTwo) {
  Program p;
  const char* words[] = {"prog", "versoin"};
  testing::internal::CaptureStderr();
  EXPECT_EQ(read_words(p.app, 2, words), 2);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "prog: unknown command 'prog versoin'; did you mean 'prog version'?\n"
            "  run with --help\n");
}

}  // namespace
}  // namespace rap::commandline
