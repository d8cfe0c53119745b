#include "cli/resolve.hpp"

#include <gtest/gtest.h>

#include <map>

#include <boost/json.hpp>

namespace rap::cli {
namespace {

const std::string kId1 = "cls_01hzzzzzzzzzzzzzzzzzzzzzz1";
const std::string kId2 = "cls_01hzzzzzzzzzzzzzzzzzzzzzz2";

class FakeApi final : public Api {
 public:
  std::map<std::string, std::string> answers;
  int calls = 0;

  ApiResponse send(const ApiRequest& request) override {
    ++calls;
    const auto found = answers.find(request.path);
    if (found == answers.end()) throw_api_failure(request, 404, "");
    return {found->second, ""};
  }
};

std::string two_clusters() {
  return R"({"items":[{"id":")" + kId1 + R"(","name":"Berlin","slug":"berlin"},{"id":")" + kId2 +
         R"(","name":"berlin","slug":"other"}],"next_cursor":null})";
}

struct Resolve : testing::Test {
  FakeApi api;
  std::string message(const std::string& text) {
    try {
      return resolve(api, kCluster, "/c", text);
    } catch (const Failure& failure) {
      return std::string(failure.what()) + " | " + failure.todo;
    }
  }
};

TEST_F(Resolve, TakesIdsWithoutAsking) {
  EXPECT_EQ(resolve(api, kCluster, "/c", kId1), kId1);
  EXPECT_EQ(api.calls, 0);
}

TEST_F(Resolve, FindsByAnyName) {
  api.answers["/c?limit=200"] = two_clusters();
  EXPECT_EQ(message("Berlin"), kId1);
  EXPECT_EQ(message("other"), kId2);
  EXPECT_EQ(message("berlin"), kId1);  // the slug goes first
}

TEST_F(Resolve, NamesWhatThereIs) {
  api.answers["/c?limit=200"] = two_clusters();
  EXPECT_EQ(message("Munich"), "no cluster is called 'Munich' | there are: berlin, other");
  api.answers["/c?limit=200"] = R"({"items":[]})";
  EXPECT_EQ(message("Munich"), "no cluster is called 'Munich' | there is none yet");
}

TEST_F(Resolve, RefusesToGuess) {
  api.answers["/c?limit=200"] =
      R"({"items":[{"id":"a","name":"X","slug":"1"},{"id":"b","name":"X","slug":"2"}]})";
  EXPECT_EQ(message("X"), "2 clusters are called 'X' | use the id: a b");
}

TEST_F(Resolve, TakesTheOnlyOne) {
  api.answers["/c?limit=200"] = R"({"items":[{"id":"a","name":"X","slug":"x"}]})";
  EXPECT_EQ(resolve_or_only(api, kCluster, "/c", "", "--cluster"), "a");
  api.answers["/c?limit=200"] = two_clusters();
  EXPECT_THROW(resolve_or_only(api, kCluster, "/c", "", "--cluster"), Failure);
}

TEST_F(Resolve, ReadsAllPages) {
  api.answers["/c?limit=200"] = R"({"items":[{"id":"a","name":"X"}],"next_cursor":"p/2"})";
  api.answers["/c?limit=200&cursor=p%2F2"] =
      R"({"items":[{"id":"b","name":"Y"}],"next_cursor":null})";
  EXPECT_EQ(message("Y"), "b");
  EXPECT_EQ(api.list("/c").size(), 2u);
}

TEST_F(Resolve, SaysWhenTheAnswerIsNoList) {
  api.answers["/c?limit=200"] = "[]";
  EXPECT_THROW(api.list("/c"), Failure);
}

}  // namespace
}  // namespace rap::cli
