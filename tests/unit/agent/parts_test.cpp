// Decisions of the running agent that are plain functions: tokens, approvals, leases, plans.
#include <gtest/gtest.h>
#include <signal.h>

#include <boost/json.hpp>

#include "base/id.hpp"
#include "host/agent/control/control_client.hpp"
#include "host/agent/control/enroll.hpp"
#include "host/agent/control/join_token.hpp"
#include "host/agent/run/node_events.hpp"
#include "host/agent/session/broker.hpp"
#include "host/agent/session/worker_word.hpp"
#include "host/agent/supervise/log_capture.hpp"
#include "host/agent/supervise/spawn.hpp"

namespace rap::agent {
namespace {

TEST(WorkerEnd, SaysWhatHappenedNotWhichNumber) {
  EXPECT_EQ(worker_end_text("the worker", {.code = 70}), "the plugin hung");
  EXPECT_EQ(worker_end_text("the worker", {.signal = SIGILL}),
            "the worker crashed by signal 4 (Illegal instruction)");
  EXPECT_EQ(worker_end_text("the worker", {.signal = SIGKILL}),
            "the worker ended by signal 9 (Killed)");
  EXPECT_EQ(worker_end_text("the worker", {.code = 1}), "the worker exited with status 1");
  EXPECT_EQ(worker_end_text("the worker", {}), "the worker ended");
}

TEST(NodeEvents, TheSameIsToldOnceInTenMinutes) {
  using std::chrono::minutes;
  EventLimiter limiter;
  const auto start = EventLimiter::Time{} + minutes(100);
  EXPECT_TRUE(limiter.allow(NodeEventKind::artifact_refused, "a", start));
  EXPECT_FALSE(limiter.allow(NodeEventKind::artifact_refused, "a", start + minutes(9)));
  EXPECT_TRUE(limiter.allow(NodeEventKind::artifact_refused, "b", start + minutes(9)));
  EXPECT_TRUE(limiter.allow(NodeEventKind::workload_failed, "a", start + minutes(9)));
  EXPECT_TRUE(limiter.allow(NodeEventKind::artifact_refused, "a", start + minutes(10)));
}

TEST(NodeEvents, TextsFitTheContract) {
  EXPECT_EQ(event_text("a\nb\x1b[2J\x7f", 100), "a b [2J ");
  EXPECT_EQ(event_text("ab\xc3\xa4", 3), "ab");
  EXPECT_EQ(event_text("ab\xc3\xa4", 4), "ab\xc3\xa4");
  EXPECT_EQ(event_text(std::string(5000, 'x'), 1000).size(), 1000u);
}

TEST(NodeEvents, WhatIsAwayIsNoRefusal) {
  for (const Errc code : {Errc::bad_signature, Errc::rollback, Errc::expired, Errc::mismatch}) {
    EXPECT_TRUE(is_refusal(code)) << name(code);
  }
  for (const Errc code : {Errc::unavailable, Errc::timeout, Errc::not_found, Errc::exhausted}) {
    EXPECT_FALSE(is_refusal(code)) << name(code);
  }
}

TEST(LineLimiter, KeepsSoManyASecondAndCountsTheRest) {
  LineLimiter limiter;
  const auto start = LineLimiter::Time{} + std::chrono::hours(1);
  int kept = 0;
  for (int i = 0; i < 1'000; ++i) kept += limiter.line(start).keep;
  EXPECT_EQ(kept, LineLimiter::kLinesPerSecondMax);
  const auto next = limiter.line(start + std::chrono::seconds(1));
  EXPECT_TRUE(next.keep);
  EXPECT_EQ(next.dropped, 800u);
}

namespace json = boost::json;

TEST(WorkerWord, NamesOnlyThoseWhoAreThere) {
  const AttachedPeople people{{"att_1", "usr_a", "ada", "control"},
                              {"att_2", "usr_g", "grace", "control"},
                              {"att_3", "usr_v", "val", "view"}};
  const auto attached = person_event(people, "attached", "att_1", "");
  ASSERT_TRUE(attached);
  EXPECT_EQ(json::serialize(*attached),
            R"({"kind":"attached","user_id":"usr_a","user_name":"ada","mode":"control"})");
  const auto taken = person_event(people, "taken_over", "att_2", "att_1");
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->at("previous_user_name"), "ada");
  EXPECT_TRUE(person_event(people, "view_left", "att_3", ""));
  EXPECT_FALSE(person_event(people, "attached", "att_9", "")) << "nobody";
  EXPECT_FALSE(person_event(people, "attached", "", ""));
  EXPECT_FALSE(person_event(people, "attached", "att_3", "")) << "a viewer";
  EXPECT_FALSE(person_event(people, "view_joined", "att_1", "")) << "who controls";
  EXPECT_FALSE(person_event(people, "session_opened", "att_1", "")) << "no event of a person";
}

TEST(WorkerWord, ATimeIsNearTheTruth) {
  const SystemTime now = from_unix_seconds(1'700'000'000);
  const auto at = [&](std::int64_t offset) {
    return to_rfc3339(now + std::chrono::seconds(offset));
  };
  EXPECT_EQ(event_time(at(-59), now, now), at(-59));
  EXPECT_EQ(event_time(at(59), now, now), at(59));
  for (const std::string& bad :
       {at(-61), at(61), at(-400'000'000), std::string("soon"), std::string()}) {
    EXPECT_EQ(event_time(bad, now, now), at(0)) << bad;
  }
  // What happened while no agent was there.
  EXPECT_EQ(event_time(at(-3'600), now - std::chrono::hours(2), now), at(-3'600));
}

const std::string kSecret = to_base64url(Bytes(32, 7));
const std::string kPin = to_base64url(Bytes(32, 9));
const std::string kTokenId = JoinTokenId::fresh().str();

TEST(JoinToken, RoundTripWithWhiteSpace) {
  auto token = parse_join_token("\n rapjoin1." + kTokenId + "." + kSecret + "." + kPin + " \r\n");
  ASSERT_TRUE(token) << token.error().text();
  EXPECT_EQ(token->id, kTokenId);
  EXPECT_EQ(token->pin[0], 9);
  EXPECT_EQ(token->pin_text, kPin);
}

TEST(JoinToken, HostileTexts) {
  const std::string good = "rapjoin1." + kTokenId + "." + kSecret + "." + kPin;
  for (const std::string& bad :
       {std::string(), std::string("   "), std::string("rapjoin1"), std::string("rapjoin1..."),
        "rapjoin2" + good.substr(8), good.substr(0, good.size() - 1), good + "A", good + ".x",
        "rapjoin1.x." + kSecret + "." + kPin, "rapjoin1." + kTokenId + ".short." + kPin,
        "rapjoin1." + kTokenId + "." + kSecret + ".", std::string(100'000, '.')}) {
    auto token = parse_join_token(bad);
    ASSERT_FALSE(token) << bad;
    EXPECT_EQ(token.error().code, Errc::malformed);
    EXPECT_EQ(token.error().detail.find(kSecret), std::string::npos) << "a secret was repeated";
  }
}

TEST(ProblemError, CodeAndDetailOfTheDocument) {
  const Error error =
      problem_error(403, R"({"title":"Forbidden","code":"expired","detail":"the token expired"})");
  EXPECT_EQ(error.code, Errc::expired);
  EXPECT_EQ(error.detail, "the token expired");
}

TEST(ProblemError, StatusWhenThereIsNoDocument) {
  EXPECT_EQ(problem_error(404, "<html>").code, Errc::not_found);
  EXPECT_EQ(problem_error(503, "").code, Errc::unavailable);
  EXPECT_EQ(problem_error(500, R"({"code":"no such code"})").code, Errc::internal);
  EXPECT_LE(problem_error(400, R"({"detail":")" + std::string(5000, 'x') + "\"}").detail.size(),
            512u);
}

TEST(Approval, MustBeForOurKey) {
  const PendingEnrollment pending{net::generate_p256_key_pem(), "https://cp", kTokenId, ""};
  const auto stranger = net::make_self_signed_identity("x", std::chrono::hours(1));
  const json::object answer{{"status", "approved"},
                            {"node_id", "nod_1"},
                            {"cluster_id", "cls_1"},
                            {"certificate_pem", stranger.certificate_pem},
                            {"cluster_ca_pem", stranger.certificate_pem},
                            {"director_root", "{}"}};
  auto identity = accept_approval(json::serialize(answer), pending, kPin, RealClock().now());
  ASSERT_FALSE(identity);
  EXPECT_EQ(identity.error().code, Errc::mismatch);
}

TEST(Approval, NamesWhatIsMissing) {
  const PendingEnrollment pending{net::generate_p256_key_pem(), "https://cp", kTokenId, ""};
  for (const char* bad : {"", "[]", "{}", R"({"node_id":7})", R"({"node_id":"n"})",
                          R"({"node_id":"n","cluster_id":"c","certificate_pem":"p",
                              "cluster_ca_pem":"p"})"}) {
    EXPECT_FALSE(accept_approval(bad, pending, kPin, RealClock().now())) << bad;
  }
}

json::object claims() {
  return {{"sid", SessionId::fresh().str()},
          {"org", "org_1"},
          {"res", "res_1"},
          {"sub", "usr_1"},
          {"name", "Ada"},
          {"mode", "control"},
          {"verb", "open"}};
}

const SystemTime kNow = from_unix_seconds(1'700'000'000);

Applied applied() {
  Applied out;
  out.director_expires = kNow + std::chrono::hours(1);
  Resource resource;
  resource.resource_id = "res_1";
  resource.organization_id = "org_1";
  resource.role = "ssh-worker";
  out.access.resources["res_1"] = resource;
  return out;
}

TEST(StreamClaims, ReadAndRefused) {
  ASSERT_TRUE(parse_stream_claims(claims()));
  for (const char* key : {"sid", "org", "res", "sub", "name", "mode", "verb"}) {
    json::object missing = claims();
    missing.erase(key);
    EXPECT_FALSE(parse_stream_claims(missing)) << key;
    json::object other = claims();
    other[key] = 7;
    EXPECT_FALSE(parse_stream_claims(other)) << key;
  }
  json::object odd = claims();
  odd["sid"] = "../../x";
  EXPECT_FALSE(parse_stream_claims(odd));
  odd = claims();
  odd["mode"] = "root";
  EXPECT_FALSE(parse_stream_claims(odd));
  odd = claims();
  odd["name"] = std::string(1000, 'n');
  EXPECT_FALSE(parse_stream_claims(odd));
}

TEST(StreamCheck, OnlyTheOrganizationsOwnResources) {
  auto stream = parse_stream_claims(claims()).value();
  EXPECT_TRUE(check_stream(stream, applied(), kNow));
  stream.organization = "org_2";
  EXPECT_EQ(check_stream(stream, applied(), kNow).error().code, Errc::forbidden);
  stream.resource = "res_2";
  EXPECT_EQ(check_stream(stream, applied(), kNow).error().code, Errc::not_found);
  Applied disabled = applied();
  disabled.membership.status = NodeStatus::disabled;
  EXPECT_EQ(check_stream(parse_stream_claims(claims()).value(), disabled, kNow).error().code,
            Errc::forbidden);
}

TEST(StreamCheck, NothingNewOnceTheDirectorsWordHasEnded) {
  const auto stream = parse_stream_claims(claims()).value();
  Applied old = applied();
  old.director_expires = kNow + std::chrono::seconds(1);
  EXPECT_TRUE(check_stream(stream, old, kNow));
  old.director_expires = kNow;
  const auto refused = check_stream(stream, old, kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::unavailable);
  EXPECT_EQ(refused.error().detail,
            "this node has not heard from its control plane since before " + to_rfc3339(kNow));
}

TEST(Room, OneOrganizationLeavesHalfOfASharedNode) {
  struct Case {
    Room room;
    const char* refusal;
  };
  const char* const all = "this node has 4 sessions, which is its limit";
  const char* const share =
      "this organization has 2 sessions on this node, its share of a node that others use too";
  const Case cases[] = {
      {{4, 1, 3, 3}, ""},                          // alone: all of it
      {{4, 1, 4, 4}, all},                         // and no more
      {{4, 2, 1, 1}, ""},                          // shared
      {{4, 2, 2, 2}, share},                       // half is used by one
      {{4, 2, 2, 0}, ""},                          // and the other still comes in
      {{4, 3, 3, 1}, ""},    {{4, 3, 4, 1}, all},  // full is full
  };
  for (const Case& c : cases) {
    const Status got = check_room(c.room);
    EXPECT_EQ(got ? "" : got.error().detail, c.refusal);
    if (!got) {
      EXPECT_EQ(got.error().code, Errc::exhausted);
    }
  }
  EXPECT_EQ(share_of_organization(1, 2), 1);  // a node of one place serves whoever comes first
  EXPECT_EQ(share_of_organization(5, 9), 3);
  EXPECT_EQ(share_of_organization(200, 1), 200);
}

TEST(CapturedLine, OurJsonIsTakenApartAndTheRestIsText) {
  const auto line = parse_captured_line(
      R"({"time":"t","level":"warn","program":"rap-worker","message":"hi","pid":7})");
  EXPECT_EQ(line.level, "warn");
  EXPECT_EQ(line.message, "hi");
  EXPECT_EQ(line.fields, R"({"pid":7})");
  EXPECT_EQ(parse_captured_line("plain").message, "plain");
  EXPECT_EQ(parse_captured_line("{\"message\":7}").message, "{\"message\":7}");
  EXPECT_EQ(parse_captured_line("a\xff\xfe\xc3").message, "a???");
  EXPECT_EQ(parse_captured_line("Gr\xc3\xbc\xc3\x9f").message, "Gr\xc3\xbc\xc3\x9f");
}

TEST(EventId, SameEventSameId) {
  EXPECT_EQ(event_id_of("s", "n", 1), event_id_of("s", "n", 1));
  EXPECT_NE(event_id_of("s", "n", 1), event_id_of("s", "n", 2));
  EXPECT_NE(event_id_of("s", "n", 1), event_id_of("s", "m", 1));
}

}  // namespace
}  // namespace rap::agent
