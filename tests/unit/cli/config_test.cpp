#include "cli/config.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace rap::cli {
namespace {

struct ConfigTest : testing::Test {
  ConfigTest() {
    char path[] = "/tmp/rapctl-config-XXXXXX";
    dir = std::string(::mkdtemp(path)) + "/new/rap";
  }
  ~ConfigTest() override { std::filesystem::remove_all(dir.parent_path().parent_path()); }
  std::filesystem::path dir;
};

TEST_F(ConfigTest, ComesBackAsSavedAndForTheOwnerOnly) {
  Context context{"https://a:1", "", "pin", "rapses1.x", "owner", "2026-01-01T00:00:00Z"};
  ASSERT_TRUE(save_context(dir, context));
  const auto loaded = load_context(dir);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->server, "https://a:1");
  EXPECT_EQ(loaded->ca_pin, "pin");
  EXPECT_EQ(loaded->token, "rapses1.x");
  struct stat what {};
  ASSERT_EQ(::stat(dir.c_str(), &what), 0);
  EXPECT_EQ(what.st_mode & 0777, 0700u);
  ASSERT_EQ(::stat((dir / "context.json").c_str(), &what), 0);
  EXPECT_EQ(what.st_mode & 0777, 0600u);
}

TEST_F(ConfigTest, IsEmptyWhenThereIsNone) {
  const auto loaded = load_context(dir);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->server, "");
}

TEST_F(ConfigTest, RefusesWhatIsNotOurs) {
  std::filesystem::create_directories(dir);
  for (const char* text : {"", "[]", "{", "{\"server\":\"a\",\"server\":\"b\"}"}) {
    std::ofstream(dir / "context.json") << text;
    EXPECT_FALSE(load_context(dir)) << text;
  }
}

TEST_F(ConfigTest, IsWhereTheEnvironmentSays) {
  ::setenv("RAP_CONFIG_DIR", "/x/y", 1);
  EXPECT_EQ(config_dir(), "/x/y");
  ::unsetenv("RAP_CONFIG_DIR");
  ::setenv("XDG_CONFIG_HOME", "/z", 1);
  EXPECT_EQ(config_dir(), "/z/rap");
  ::unsetenv("XDG_CONFIG_HOME");
  ::setenv("HOME", "/people/me", 1);
  EXPECT_EQ(config_dir(), "/people/me/.config/rap");
}

}  // namespace
}  // namespace rap::cli
