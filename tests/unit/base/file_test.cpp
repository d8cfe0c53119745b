#include "base/file.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

namespace rap {
namespace {

class FileTest : public testing::Test {
 protected:
  FileTest() {
    char name[] = "/tmp/rap-file-test-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~FileTest() override { std::filesystem::remove_all(directory_); }
  std::filesystem::path directory_;
};

TEST_F(FileTest, ReplacesWholeAndLeavesNoTemporary) {
  const auto path = directory_ / "state";
  ASSERT_TRUE(write_file_atomic(path, "one", 0600).has_value());
  ASSERT_TRUE(write_file_atomic(path, "two", 0600).has_value());
  EXPECT_EQ(read_text_file(path, 10).value(), "two");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1);
}

TEST_F(FileTest, SaysWhatIsWrong) {
  EXPECT_EQ(read_file(directory_ / "none", 10).error().code, Errc::not_found);
  EXPECT_EQ(write_file_atomic(directory_ / "no" / "dir", "x").error().code, Errc::not_found);
  ASSERT_TRUE(write_file_atomic(directory_ / "big", std::string(11, 'x')).has_value());
  EXPECT_EQ(read_file(directory_ / "big", 10).error().code, Errc::too_large);
  EXPECT_TRUE(read_file(directory_ / "big", 11).has_value());
}

}  // namespace
}  // namespace rap
