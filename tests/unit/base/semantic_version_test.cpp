#include "base/semantic_version.hpp"

#include <gtest/gtest.h>

namespace rap {
namespace {

TEST(SemanticVersion, AsSemverOrgSays) {
  for (const char* good : {"0.0.0", "1.2.3", "10.20.30", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-0",
                           "1.0.0-x-y.0a", "1.0.0+001", "1.0.0-rc.1+build.7", "1.0.0+a-b"}) {
    EXPECT_TRUE(is_semantic_version(good)) << good;
  }
  for (const char* bad :
       {"", "1", "1.0", "1.0.0.0", "v1.0.0", "01.0.0", "1.0.00", "1..0", ".1.0", "1.0.", "banana",
        "1.0.0-", "1.0.0-01", "1.0.0-a..b", "1.0.0+", "1.0.0+a+b", "1.0.0 ", "-1.0.0", "1.0.0-ä"}) {
    EXPECT_FALSE(is_semantic_version(bad)) << bad;
  }
}

}  // namespace
}  // namespace rap
