#include "controlplane/roles/rules.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "controlplane/audit/chain.hpp"
#include "controlplane/auth/totp.hpp"
#include "controlplane/releases/choose.hpp"
#include "controlplane/sessions/rules.hpp"

namespace rap::cp {
namespace {

// RFC 6238 appendix B, SHA-1: the secret is the ASCII text "12345678901234567890".
TEST(Totp, VectorsOfTheRfc) {
  const auto secret = as_bytes("12345678901234567890");
  const struct {
    std::int64_t time;
    const char* code;
  } vectors[] = {{59, "94287082"},         {1111111109, "07081804"}, {1111111111, "14050471"},
                 {1234567890, "89005924"}, {2000000000, "69279037"}, {20000000000, "65353130"}};
  for (const auto& v : vectors) EXPECT_EQ(totp_code(secret, v.time / 30, 8), v.code) << v.time;
}

TEST(Totp, AcceptsNeighbouringStepsOnce) {
  const auto secret = as_bytes("12345678901234567890");
  const SystemTime now = from_unix_seconds(1111111111);
  const std::int64_t step = 1111111111 / 30;
  for (const std::int64_t near : {step - 1, step, step + 1}) {
    EXPECT_EQ(check_totp(secret, totp_code(secret, near), now, 0), near);
  }
  EXPECT_FALSE(check_totp(secret, totp_code(secret, step - 2), now, 0));
  EXPECT_FALSE(check_totp(secret, totp_code(secret, step), now, step)) << "replayed";
  EXPECT_FALSE(check_totp(secret, "", now, 0));
  EXPECT_EQ(to_base32(as_bytes("foobar")), "MZXW6YTBOI");
}

AuditRecord record(std::int64_t seq) {
  AuditRecord r;
  r.chain_id = "cls_x";
  r.seq = seq;
  r.event_id = "aud_" + std::to_string(seq);
  r.kind = "node.approved";
  r.detail = "{}";
  return r;
}

TEST(AuditChain, FindsAnyChangeGapAndReorder) {
  std::vector<AuditRecord> records{record(1), record(2), record(3)};
  std::vector<Sha256Digest> previous, hashes;
  Sha256Digest head{};
  for (const auto& r : records) {
    previous.push_back(head);
    head = audit_hash(r, head);
    hashes.push_back(head);
  }
  const auto verify = [&](const std::vector<AuditRecord>& list, std::vector<std::size_t> order) {
    AuditVerifier verifier("cls_x");
    for (const auto i : order) {
      if (!verifier.next(list[i], previous[i], hashes[i])) return false;
    }
    return true;
  };
  EXPECT_TRUE(verify(records, {0, 1, 2}));
  EXPECT_FALSE(verify(records, {0, 2}));
  EXPECT_FALSE(verify(records, {1, 0, 2}));
  for (const auto change : {0, 1, 2, 3, 4}) {
    auto changed = records;
    AuditRecord& r = changed[1];
    if (change == 0) r.detail = "{\"a\":1}";
    if (change == 1) r.actor_name = "someone else";
    if (change == 2) r.organization_id = "org_y";
    if (change == 3) r.at += std::chrono::microseconds(1);
    if (change == 4) std::swap(r.kind, r.subject);
    EXPECT_FALSE(verify(changed, {0, 1, 2})) << change;
  }
}

AssignmentRequest good_request() {
  AssignmentRequest r;
  r.role = "ssh-worker";
  r.node_in_cluster = true;
  r.membership_status = "active";
  r.capabilities = {"can_run_ssh_worker"};
  r.organization_given = r.organization_active = true;
  return r;
}

TEST(Roles, EachReasonToRefuse) {
  EXPECT_TRUE(check_assignment(good_request()));
  const auto code = [](auto change) {
    AssignmentRequest r = good_request();
    change(r);
    const Status s = check_assignment(r);
    return s ? std::string("ok") : std::string(name(s.error().code));
  };
  EXPECT_EQ(code([](auto& r) { r.role = "../x"; }), "invalid");
  EXPECT_EQ(code([](auto& r) { r.role = "made-up"; }), "invalid");
  EXPECT_EQ(code([](auto& r) {
              r.role = "my-echo";
              r.release_roles = {"my-echo"};
              r.capabilities = {"can_run_plugins"};
            }),
            "ok");
  EXPECT_EQ(code([](auto& r) { r.node_in_cluster = false; }), "not_found");
  EXPECT_EQ(code([](auto& r) { r.membership_status = "disabled"; }), "conflict");
  EXPECT_EQ(code([](auto& r) { r.membership_status = "revoked"; }), "conflict");
  EXPECT_EQ(code([](auto& r) { r.capabilities = {"can_run_rdp_worker"}; }), "unsupported");
  EXPECT_EQ(code([](auto& r) { r.organization_active = false; }), "forbidden");
  EXPECT_EQ(code([](auto& r) { r.already_assigned = true; }), "conflict");
  EXPECT_EQ(capability_of_role("file-storage-cache"), "can_run_file_cache");
  EXPECT_EQ(capability_of_role("entry-node"), "can_accept_client_ingress");
  EXPECT_EQ(protocol_of_role("ssh-worker"), "ssh");
  EXPECT_FALSE(protocol_of_role("entry-node"));
}

TEST(Sessions, WhatIsOverStaysOver) {
  using enum SessionState;
  EXPECT_EQ(after_report(opening, active), active);
  EXPECT_EQ(after_report(active, detached), detached);
  EXPECT_EQ(after_report(closing, active), closing);
  EXPECT_EQ(after_report(closing, closed), closed);
  EXPECT_EQ(after_report(closed, active), closed);
  EXPECT_EQ(after_report(failed, active), failed);
  EXPECT_FALSE(session_state_from_name("sleeping"));
}

TEST(Sessions, MissingOnesEndAfterTheirGrace) {
  using enum SessionState;
  const SystemTime t = from_unix_seconds(1000);
  EXPECT_FALSE(judge_missing(active, t, t + std::chrono::seconds(14)));
  EXPECT_EQ(judge_missing(active, t, t + std::chrono::seconds(15))->state, failed);
  EXPECT_EQ(judge_missing(closing, t, t + std::chrono::seconds(15))->state, closed);
  EXPECT_FALSE(judge_missing(opening, t, t + std::chrono::seconds(59)));
  EXPECT_EQ(judge_missing(opening, t, t + std::chrono::seconds(60))->state, failed);
  EXPECT_FALSE(judge_missing(closed, t, t + std::chrono::hours(1)));
}

TEST(Sessions, PlacementSaysWhatIsInTheWay) {
  Candidate best{"nod_a", "rol_a", Obstacle::none, "running", {}};
  EXPECT_EQ(place(best, "ssh-worker")->node_id, "nod_a");
  const std::pair<Obstacle, std::string_view> reasons[] = {{Obstacle::workload, "is backoff"},
                                                           {Obstacle::endpoint, "can be reached"},
                                                           {Obstacle::silent, "sends heartbeats"},
                                                           {Obstacle::disabled, "disabled"}};
  for (const auto& [obstacle, reason] : reasons) {
    best.obstacle = obstacle;
    best.workload = "backoff";
    const auto refused = place(best, "ssh-worker");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::unavailable);
    EXPECT_NE(refused.error().detail.find(reason), std::string::npos) << refused.error().detail;
  }
  EXPECT_EQ(place(best, "ssh-worker").error().detail,
            "the node is disabled; an owner of the platform can enable it");
  best.node_name = "berlin-1";
  EXPECT_EQ(place(best, "ssh-worker").error().detail,
            "the node berlin-1 is disabled; 'rapctl node enable berlin-1' lets it work again");
  EXPECT_EQ(place(std::nullopt, "ssh-worker").error().code, Errc::unavailable);
}

TEST(Releases, ChannelDecidesUnlessPinned) {
  const std::vector<ReleaseFacts> listed = {
      {"rel_1", "plugin.rap.ssh", "0.1.0", 1, 0, {"ssh-worker"}},
      {"rel_2", "plugin.rap.ssh", "0.2.0", 2, 1, {"ssh-worker"}},
      {"rel_3", "plugin.other.ssh", "9.0.0", 9, 0, {"ssh-worker"}}};
  const ReleaseWish ours{"plugin.rap.ssh", "", "current"};
  EXPECT_EQ(choose_release("ssh-worker", ours, listed, {})->id, "rel_2");
  EXPECT_EQ(choose_release("ssh-worker", {}, listed, {})->id, "rel_3") << "first product by name";
  EXPECT_EQ(choose_release("rdp-worker", {}, listed, {}), nullptr);
  const std::vector<ChannelFacts> channels = {{"plugin.rap.ssh", "current", "0.1.0", 0}};
  EXPECT_EQ(choose_release("ssh-worker", ours, listed, channels)->id, "rel_1");
  EXPECT_EQ(
      choose_release("ssh-worker", {"plugin.rap.ssh", "0.2.0", "current"}, listed, channels)->id,
      "rel_2");
  const std::vector<ChannelFacts> floor = {{"plugin.rap.ssh", "current", "0.1.0", 1}};
  EXPECT_EQ(choose_release("ssh-worker", ours, listed, floor), nullptr) << "below the epoch";
}

TEST(Releases, SaysWhyThereIsNone) {
  const std::vector<ReleaseFacts> listed = {
      {"rel_1", "plugin.rap.ssh", "0.1.0", 1, 0, {"ssh-worker"}}};
  const std::vector<ChannelFacts> channels = {{"plugin.rap.ssh", "current", "0.1.0", 2},
                                              {"plugin.rap.ssh", "next", "0.3.0", 0}};
  const struct {
    ReleaseWish wish;
    std::string_view why;
  } cases[] = {
      {{"plugin.acme.x", "9.9.9", "current"},
       "Version Storage lists no release of plugin.acme.x 9.9.9 for the role ssh-worker"},
      {{"", "9.9.9", "current"}, "Version Storage lists no plugin.rap.ssh 9.9.9"},
      {{"", "", "next"},
       "Version Storage lists no plugin.rap.ssh 0.3.0, which its channel next names"},
      {{"", "0.1.0", "current"},
       "plugin.rap.ssh 0.1.0 is below the security epoch 2 of its channel current"},
  };
  for (const auto& c : cases) {
    ASSERT_EQ(choose_release("ssh-worker", c.wish, listed, channels), nullptr) << c.why;
    EXPECT_EQ(why_no_release("ssh-worker", c.wish, listed, channels), c.why);
  }
  EXPECT_EQ(why_no_release("rdp-worker", {}, {}, {}),
            "Version Storage lists no release of a plugin for the role rdp-worker");
}

TEST(Roles, APolicyHasNoOtherMembers) {
  const struct {
    const char* policy;
    const char* member;  // nullptr: it is one
    const char* detail;
  } cases[] = {
      {R"({})", nullptr, ""},
      {R"({"product":"plugin.rap.ssh","version":"1.0+b","channel":"stable","config":{"a":{}}})",
       nullptr, ""},
      {R"({"product":null,"config":null})", nullptr, ""},
      {R"({"verison":"1"})", "verison", "product, version, channel and config"},
      {R"({"version":"1","x":null})", "x", "is not a member"},
      {R"({"":1})", "", "is not a member"},
      {R"({"version":1})", "version", "must be a string"},
      {R"({"version":""})", "version", "1 to 64"},
      {R"({"version":"../1"})", "version", "1 to 64"},
      {R"({"product":"a/b"})", "product", "1 to 128"},
      {R"({"product":"."})", "product", "1 to 128"},
      {R"({"channel":"a\u0000"})", "channel", "1 to 64"},
      {R"({"config":[]})", "config", "must be an object"},
  };
  for (const auto& c : cases) {
    const auto fault = check_policy(boost::json::parse(c.policy).as_object());
    ASSERT_EQ(fault.has_value(), c.member != nullptr) << c.policy;
    if (!fault) continue;
    EXPECT_EQ(fault->member, c.member) << c.policy;
    EXPECT_NE(fault->detail.find(c.detail), std::string::npos) << fault->detail;
  }
  const std::string longest = R"({"version":")" + std::string(64, 'v') + R"("})";
  EXPECT_FALSE(check_policy(boost::json::parse(longest).as_object()));
  const std::string longer = R"({"version":")" + std::string(65, 'v') + R"("})";
  EXPECT_TRUE(check_policy(boost::json::parse(longer).as_object()));
}

TEST(Releases, WhatRunsMayGoOnUnlessItsEpochIsOver) {
  const std::vector<ReleaseFacts> listed = {
      {"rel_1", "plugin.rap.ssh", "0.1.0", 1, 0, {"ssh-worker"}},
      {"rel_2", "plugin.rap.ssh", "0.2.0", 2, 1, {"ssh-worker"}},
      {"rel_3", "plugin.rap.ssh", "0.3.0", 3, 1, {"ssh-worker"}},
      {"rel_4", "plugin.rap.ssh", "0.4.0", 4, 1, {"rdp-worker"}},
      {"rel_5", "plugin.other.ssh", "9.0.0", 9, 1, {"ssh-worker"}}};
  const auto stays = [&](const char* running) {
    return fallback_release("ssh-worker", listed[2], running, listed);
  };
  ASSERT_NE(stays("0.2.0"), nullptr);
  EXPECT_EQ(stays("0.2.0")->id, "rel_2");
  EXPECT_EQ(stays("0.1.0"), nullptr) << "its epoch is below that of the assigned one";
  EXPECT_EQ(stays("0.3.0"), nullptr) << "it is the assigned one";
  EXPECT_EQ(stays("0.4.0"), nullptr) << "it does not serve the role";
  EXPECT_EQ(stays("9.0.0"), nullptr) << "another product";
  EXPECT_EQ(stays("7.7.7"), nullptr) << "nobody lists it (any more)";
  EXPECT_EQ(stays(""), nullptr);
  EXPECT_EQ(fallback_release("ssh-worker", listed[0], "0.2.0", listed)->id, "rel_2")
      << "also on the way back";
}

}  // namespace
}  // namespace rap::cp
