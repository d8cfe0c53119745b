#include "base/id.hpp"

#include <gtest/gtest.h>

namespace rap {
namespace {

TEST(Id, FreshOnesDifferAndParse) {
  const NodeId a = NodeId::fresh();
  const NodeId b = NodeId::fresh();
  EXPECT_NE(a, b);
  EXPECT_EQ(NodeId::parse(a.str()).value(), a);
}

TEST(Id, RefusesAnotherKindAndOtherShapes) {
  const std::string node = NodeId::fresh().str();
  EXPECT_FALSE(SessionId::parse(node).has_value());
  for (const std::string& text : {std::string(), std::string("nod_"), node + "0",
                                  "nod_" + std::string(26, 'u'), "nod_" + std::string(26, 'A')}) {
    EXPECT_FALSE(NodeId::parse(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace rap
