#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "controlplane/config/config.hpp"
#include "controlplane/http/api.hpp"
#include "controlplane/http/cursor.hpp"
#include "controlplane/http/fields.hpp"
#include "controlplane/http/operations.hpp"
#include "controlplane/http/problem.hpp"
#include "controlplane/http/shapes.hpp"

namespace rap::cp {
namespace {

TEST(Cursor, RoundTripAndHostileTexts) {
  const std::string id = NodeId::fresh().str();
  EXPECT_EQ(*parse_cursor(make_cursor(id)), id);
  const std::string hostile[] = {"",
                                 "x",
                                 "%%",
                                 make_cursor(id) + "A",
                                 to_base64url(as_bytes("2:abc")),
                                 to_base64url(as_bytes("1:")),
                                 to_base64url(as_bytes("1:a'; drop")),
                                 std::string(10'000, 'A')};
  for (const auto& text : hostile) EXPECT_FALSE(parse_cursor(text)) << text.substr(0, 40);
}

TEST(Problem, IsRfc9457AndSaysTheCode) {
  Problem problem(Error{Errc::conflict, "taken"});
  problem.errors.push_back({"/slug", "taken"});
  const auto response = problem_response(problem);
  EXPECT_EQ(response.status, 409u);
  EXPECT_EQ(response.headers.find("content-type"), "application/problem+json");
  const auto body = boost::json::parse(response.body).as_object();
  EXPECT_EQ(body.at("code"), "conflict");
  EXPECT_EQ(body.at("status"), 409);
  EXPECT_EQ(body.at("errors").as_array()[0].as_object().at("pointer"), "/slug");
}

TEST(Fields, FindEveryBreakOfTheContract) {
  const std::vector<Field> fields = {text_field("name", 1, 5),
                                     {"slug", FieldType::slug},
                                     {"ttl", FieldType::integer, Need::optional, 1, 10},
                                     {"roles", FieldType::texts, Need::optional, 0, 2}};
  const auto errors = [&](const char* text) {
    return check_fields(boost::json::parse(text).as_object(), fields).size();
  };
  EXPECT_EQ(errors(R"({"name":"a","slug":"a-b"})"), 0u);
  EXPECT_EQ(errors(R"({"name":"a","slug":"a","ttl":null})"), 0u);
  EXPECT_EQ(errors("{}"), 2u);
  for (const char* bad :
       {R"({"name":"","slug":"a"})", R"({"name":"abcdef","slug":"a"})", R"({"name":1,"slug":"a"})",
        R"({"name":"a","slug":"A"})", R"({"name":"a","slug":"-a"})",
        R"({"name":"a","slug":"a","ttl":11})", R"({"name":"a","slug":"a","ttl":1.0})",
        R"({"name":"a","slug":"a","x":1})", R"({"name":"a","slug":"a","roles":["a","b","c"]})",
        R"({"name":"a","slug":"a","roles":[1]})", R"({"name":"a\u0007","slug":"a"})"}) {
    EXPECT_EQ(errors(bad), 1u) << bad;
  }
}

TEST(Fields, TakeLineEndsOnlyWhereTextsHaveLines) {
  const std::vector<Field> fields = {text_field("name"),
                                     lines_field("key", 1, 100),
                                     {"roles", FieldType::texts, Need::optional, 0, 2}};
  const auto errors = [&](const std::string& text) {
    return check_fields(boost::json::parse(text).as_object(), fields).size();
  };
  EXPECT_EQ(errors(R"({"name":"Zoë ¡a\u00a0","key":"a\r\n\tb\u0085"})"), 0u);
  for (const char* control : {R"(\n)", R"(\r)", R"(\t)", R"(\u007f)", R"(\u0080)", R"(\u009b)"}) {
    EXPECT_EQ(errors(fmt::format(R"({{"name":"a{}b","key":"k"}})", control)), 1u) << control;
    EXPECT_EQ(errors(fmt::format(R"({{"name":"a","key":"k","roles":["{}"]}})", control)), 1u);
  }
  EXPECT_EQ(errors(R"({"name":"a","key":"\u001b"})"), 1u);
}

Reply nothing(const Call&, Tx&) {
  return {};
}

TEST(RouteTable, FindsByMethodAndDecodedPath) {
  const RouteTable table({{"GET", "/v1/things/{id}", Who::anyone, "", {200}, nothing},
                          {"GET", "/files/{path...}", Who::anyone, "", {200}, nothing}});
  EXPECT_EQ(table.find("GET", "/v1/things/a%20b").values.at("id"), "a b");
  EXPECT_EQ(table.find("GET", "/files/a/b/c").values.at("path"), "a/b/c");
  EXPECT_TRUE(table.find("POST", "/v1/things/x").path_known);
  for (const char* none :
       {"/v1/things", "/v1/things/", "/v1/things/a/b", "/files", "", "x", "/%zz"}) {
    EXPECT_EQ(table.find("GET", none).route, nullptr) << none;
  }
}

TEST(OpenApi, CommittedDocumentIsWhatTheRoutesSay) {
  EXPECT_EQ(openapi_document(all_routes()), committed_openapi())
      << "run: build/bin/rap-control-plane openapi > contracts/openapi.json";
}

TEST(OpenApi, EveryAnswerWithABodySaysWhatItHolds) {
  for (const Route& route : all_routes()) {
    for (const Answer& answer : all_answers(route)) {
      const std::string where = std::string(route.method) + " " + std::string(route.pattern) + " " +
                                std::to_string(answer.status);
      const bool bodiless = answer.status == 204 || (answer.status >= 400 && answer.body.empty());
      const bool media = answer.body.find('/') != std::string_view::npos;
      EXPECT_TRUE(bodiless ? answer.body.empty() : media || is_shape(answer.body)) << where;
    }
  }
}

TEST(OpenApi, EveryReferenceLeadsSomewhere) {
  const std::string text = openapi_document(all_routes());
  constexpr std::string_view kBegin = "#/components/schemas/";
  std::size_t seen = 0;
  for (auto at = text.find(kBegin); at != std::string::npos; at = text.find(kBegin, at + 1)) {
    const auto name = at + kBegin.size();
    EXPECT_TRUE(is_shape(text.substr(name, text.find('"', name) - name))) << text.substr(name, 40);
    ++seen;
  }
  EXPECT_GT(seen, 100U);
}

TEST(Config, DefaultsAndRefusals) {
  const auto good = parse_config("data_dir: d\npostgres: {url: x}\nlisten: 127.0.0.1:9\n", "/base");
  ASSERT_TRUE(good) << good.error().text();
  EXPECT_EQ(good->data_dir, "/base/d");
  EXPECT_EQ(good->public_url, "https://127.0.0.1:9");
  EXPECT_EQ(good->public_address().port, 9);
  ASSERT_TRUE(good->metrics_listen);
  EXPECT_EQ(good->metrics_listen->text(), "127.0.0.1:9464") << "nobody else's, unless asked for";
  EXPECT_EQ(good->retention.sessions_days, 90U);
  EXPECT_EQ(
      parse_config("data_dir: d\nretention: {sessions_days: 7}", "/base")->retention.sessions_days,
      7U);
  const auto none = parse_config("data_dir: d\nmetrics: {listen: \"\"}", "/base");
  ASSERT_TRUE(none) << none.error().text();
  EXPECT_FALSE(none->metrics_listen);
  for (const char* bad :
       {"", "[]", "data_dir: [1]", "data_dir: d\nunknown: 1",
        "data_dir: d\npostgres: {conections: 3}", "data_dir: d\npostgres: {connections: 0}",
        "data_dir: d\nlisten: nowhere", "data_dir: d\nmetrics: {listen: nowhere}",
        "data_dir: d\npublic_url: http://x", "data_dir: d\npostgres: text", "{{{",
        "data_dir: d\nretention: {sessions_days: 0}", "data_dir: d\nretention: {days: 5}"}) {
    EXPECT_FALSE(parse_config(bad, "/base")) << bad;
  }
}

}  // namespace
}  // namespace rap::cp
