#include "cli/api.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <boost/json.hpp>

namespace rap::cli {
namespace {

Failure failure_of(const std::string& path, unsigned status, const std::string& body) {
  try {
    throw_api_failure({"POST", path, {}, {}}, status, body);
  } catch (const Failure& failure) {
    return failure;
  }
}

TEST(ApiFailure, SaysWhatTheServerSaid) {
  const Failure failure = failure_of(
      "/v1/resources", 422,
      R"({"type":"about:blank","title":"Invalid","status":422,"detail":"the request is not valid",
          "code":"invalid","errors":[{"pointer":"/target/port","detail":"at most 65535"}]})");
  EXPECT_EQ(failure.code, Exit::usage);
  EXPECT_STREQ(failure.what(), "the request is not valid\n  target/port: at most 65535");
}

TEST(ApiFailure, SaysAFieldOnce) {
  const Failure failure =
      failure_of("/v1/clusters/c/join-tokens", 400,
                 R"({"status":400,"detail":"ttl_s: from 1 to 604800","code":"invalid",
          "errors":[{"pointer":"/ttl_s","detail":"from 1 to 604800"},
                    {"pointer":"/max_uses","detail":"from 1 to 1000"}]})");
  EXPECT_EQ(failure.code, Exit::usage);
  EXPECT_STREQ(failure.what(), "ttl_s: from 1 to 604800\n  max_uses: from 1 to 1000");
}

TEST(ApiFailure, TurnsStatusesIntoExitStatuses) {
  EXPECT_EQ(failure_of("/v1/x", 400, R"({"detail":"no such role: x"})").code, Exit::usage);
  EXPECT_EQ(failure_of("/v1/x", 401, "").code, Exit::unauthorized);
  EXPECT_EQ(failure_of("/v1/x", 401, "").todo, "log in: rapctl login");
  EXPECT_EQ(failure_of("/v1/auth/login", 401, "").todo, "");
  EXPECT_EQ(failure_of("/v1/x", 403, "").code, Exit::forbidden);
  EXPECT_EQ(failure_of("/v1/x", 404, "").code, Exit::not_found);
  EXPECT_EQ(failure_of("/v1/x", 409, "").code, Exit::conflict);
  EXPECT_EQ(failure_of("/v1/x", 412, "").code, Exit::conflict);
  EXPECT_EQ(failure_of("/v1/x", 503, "").code, Exit::unavailable);
  EXPECT_EQ(failure_of("/v1/x", 500, "").code, Exit::error);
}

TEST(ApiFailure, SurvivesAnyBody) {
  for (const char* body :
       {"", "<html>", "[]", "{}", "{\"errors\":[1,{}]}", "{\"detail\":7}", "\xff"}) {
    EXPECT_NE(std::string(failure_of("/v1/x", 500, body).what()), "") << body;
  }
}

TEST(ApiFailure, KeepsTheServerFromTheTerminal) {
  const Failure failure = failure_of("/v1/x", 400,
                                     R"({"detail":"a\u001b[2J\nrapctl: done\u009b","code":"invalid",
          "errors":[{"pointer":"/n\u001b","detail":"x\ny"}]})");
  EXPECT_STREQ(failure.what(), "a [2J rapctl: done \n  n : x y");
}

// Pages without end.
class Endless final : public Api {
 public:
  std::vector<std::string> asked;
  ApiResponse send(const ApiRequest& request) override {
    asked.push_back(request.path);
    const auto from = request.path.find("limit=") + 6;
    std::string items;
    for (int i = std::stoi(request.path.substr(from)); i > 0; --i) items += i > 1 ? "1," : "1";
    return {R"({"items":[)" + items + R"(],"next_cursor":"c"})", ""};
  }
};

TEST(ApiList, SaysWhenThereAreMore) {
  Endless api;
  testing::internal::CaptureStderr();
  EXPECT_EQ(api.list("/v1/x?a=b", 250).size(), 250u);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "rapctl: there are more than these 250; --limit shows up to 10000\n");
  EXPECT_EQ(api.asked,
            (std::vector<std::string>{"/v1/x?a=b&limit=200", "/v1/x?a=b&limit=50&cursor=c"}));
}

TEST(ApiFailure, TellsTheMissingCodeApart) {
  EXPECT_THROW(throw_api_failure({}, 401, R"({"code":"totp_required","detail":"send the code"})"),
               TotpRequired);
}

TEST(ConnectApi, RefusesWithoutServerOrTrust) {
  EXPECT_THROW(connect_api({}), Failure);
  Context context;
  context.server = "https://127.0.0.1:1";
  EXPECT_THROW(connect_api(context), Failure);
  context.server = "http://127.0.0.1:1";
  EXPECT_THROW(connect_api(context), Failure);
  context.server = "https://127.0.0.1:1";
  context.ca_pem = "not a certificate";
  EXPECT_THROW(connect_api(context), Failure);
}

}  // namespace
}  // namespace rap::cli
