#include "host/plugin-check/versions.hpp"

#include <gtest/gtest.h>

namespace rap::check {
namespace {

TEST(Versions, ComparesByNumbers) {
  EXPECT_TRUE(version_at_most("2.36", "2.36"));
  EXPECT_TRUE(version_at_most("2.4", "2.36"));
  EXPECT_TRUE(version_at_most("2.2.5", "2.36"));
  EXPECT_TRUE(version_at_most("2.36", "2.36.1"));
  EXPECT_FALSE(version_at_most("2.37", "2.36"));
  EXPECT_FALSE(version_at_most("2.36.1", "2.36"));
  EXPECT_FALSE(version_at_most("3.0", "2.36"));
}

TEST(Versions, NamesWhatDebian12Lacks) {
  const std::vector<std::string> late = newer_than_baseline({{"libc.so.6", "GLIBC_2.2.5"},
                                                             {"libc.so.6", "GLIBC_2.36"},
                                                             {"libc.so.6", "GLIBC_2.38"},
                                                             {"libc.so.6", "GLIBC_PRIVATE"},
                                                             {"libc.so.6", "GLIBC_ABI_DT_RELR"},
                                                             {"libstdc++.so.6", "GLIBCXX_3.4.30"},
                                                             {"libstdc++.so.6", "GLIBCXX_3.4.31"},
                                                             {"libstdc++.so.6", "CXXABI_1.3.14"},
                                                             {"libgcc_s.so.1", "GCC_3.0"},
                                                             {"libgcc_s.so.1", "GCC_13.0.0"},
                                                             {"libother.so.1", "OTHER_99"}});
  EXPECT_EQ(late, (std::vector<std::string>{"GLIBC_2.38 of libc.so.6", "GLIBC_PRIVATE of libc.so.6",
                                            "GLIBCXX_3.4.31 of libstdc++.so.6",
                                            "CXXABI_1.3.14 of libstdc++.so.6",
                                            "GCC_13.0.0 of libgcc_s.so.1"}));
}

}  // namespace
}  // namespace rap::check
