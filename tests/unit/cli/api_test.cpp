#include "cli/api.hpp"

#include <gtest/gtest.h>

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
