#include "cli/event_who.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace rap::cli {
namespace {

std::string who(const char* text) {
  return who_of(boost::json::parse(text));
}

TEST(EventWho, NamesThePersonThatANodeTellsOf) {
  EXPECT_EQ(who(R"({"kind":"session.attached","actor":{"kind":"node","name":"berlin-1"},
                    "detail":{"user_name":"Olga Owner"}})"),
            "Olga Owner via node berlin-1");
  EXPECT_EQ(who(R"({"kind":"session.taken_over","actor":{"kind":"node","name":"a node"},
                    "detail":{"user_name":"Olga Owner","previous_user_name":"Mia"}})"),
            "Olga Owner via a node");
}

TEST(EventWho, IsTheActorOtherwise) {
  EXPECT_EQ(who(R"({"kind":"session.failed","actor":{"kind":"node","name":"berlin-1"},
                    "detail":{"detail":"the session worker ended"}})"),
            "berlin-1");
  // A person's own act, whomever it concerns.
  EXPECT_EQ(who(R"({"kind":"session.terminated","actor":{"kind":"user","name":"Olga Owner"},
                    "detail":{"user_name":"Mia"}})"),
            "Olga Owner");
  EXPECT_EQ(who(R"({"kind":"node.clock_wrong","actor":{"kind":"node","name":"berlin-1"},
                    "detail":{"user_name":"x"}})"),
            "berlin-1");
  EXPECT_EQ(who(R"({"kind":"session.attached","actor":{"kind":"node","name":"n"},"detail":null})"),
            "n");
  EXPECT_EQ(who("{}"), "-");
}

}  // namespace
}  // namespace rap::cli
