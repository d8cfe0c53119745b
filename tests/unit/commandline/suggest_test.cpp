#include "base/commandline/suggest.hpp"

#include <gtest/gtest.h>

namespace rap::commandline {
namespace {

const std::vector<std::string> kKnown = {"cluster", "node", "node-group", "session", "secret"};

TEST(Suggest, NamesWhatWasProbablyMeant) {
  for (const auto& [typed, meant] :
       std::vector<std::pair<std::string, std::string>>{{"clustr", "cluster"},
                                                        {"culster", "cluster"},
                                                        {"sesion", "session"},
                                                        {"sess", "session"},
                                                        {"nodes", "node"},
                                                        {"node-groups", "node-group"}}) {
    EXPECT_EQ(nearest_word(typed, kKnown), meant) << typed;
  }
}

TEST(Suggest, SaysNothingWhenNothingIsNear) {
  for (const std::string& typed : {std::string("bogus"), std::string(), std::string("x"),
                                   std::string(10'000, 'n'), std::string("\x1b[31m")}) {
    EXPECT_EQ(nearest_word(typed, kKnown), "") << typed;
  }
}

}  // namespace
}  // namespace rap::commandline
