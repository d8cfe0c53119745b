#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "controlplane/enrollment/capabilities.hpp"
#include "controlplane/enrollment/rules.hpp"

namespace rap::cp {
namespace {

JoinTokenText token() {
  JoinTokenText t{JoinTokenId::fresh(), random_bytes(32), {}};
  t.pin.fill(7);
  return t;
}

TEST(JoinToken, TextRoundTripAndTrailingNewline) {
  const auto t = token();
  const auto parsed = parse_join_token(make_join_token(t) + "\n");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->id, t.id);
  EXPECT_EQ(parsed->secret, t.secret);
  EXPECT_EQ(parsed->pin, t.pin);
}

TEST(JoinToken, HostileTexts) {
  const std::string good = make_join_token(token());
  const std::string hostile[] = {"",
                                 "rapjoin1",
                                 "rapjoin1...",
                                 "rapjoin2" + good.substr(8),
                                 good.substr(0, good.size() - 1),
                                 good + "A",
                                 good + ".x",
                                 good.substr(1),
                                 std::string(100'000, 'a'),
                                 "rapjoin1." + std::string(500, '.'),
                                 good.substr(0, 20) + '\0' + good.substr(21)};
  for (const auto& text : hostile) {
    const auto parsed = parse_join_token(text);
    ASSERT_FALSE(parsed) << text.substr(0, 60);
    EXPECT_EQ(parsed.error().code, Errc::malformed);
  }
}

TEST(JoinToken, EachReasonIsItsOwn) {
  const SystemTime now = from_unix_seconds(1000);
  const JoinTokenState good{now + std::chrono::seconds(1), false, 0, 1, {"ssh-worker"}};
  EXPECT_TRUE(check_redemption(good, {"ssh-worker"}, now));
  JoinTokenState t = good;
  t.revoked = true;
  EXPECT_EQ(check_redemption(t, {}, now).error().code, Errc::forbidden);
  EXPECT_EQ(check_redemption(good, {}, now + std::chrono::seconds(1)).error().code, Errc::expired);
  t = good;
  t.used = 1;
  EXPECT_EQ(check_redemption(t, {}, now).error().code, Errc::exhausted);
  EXPECT_EQ(check_redemption(good, {"entry-node"}, now).error().code, Errc::forbidden);
  t = good;
  t.scope_roles.clear();
  EXPECT_TRUE(check_redemption(t, {"entry-node"}, now));
}

TEST(JoinKey, TwoNodesNeverShareOne) {
  EXPECT_EQ(*judge_key(std::nullopt, "jtk_1", "a"), KeyVerdict::new_request);
  using Request = KnownKey::Request;
  using Holder = KnownKey::Holder;
  const KnownKey known{"jtk_1", "a", Request::approved, Holder::node};
  EXPECT_EQ(*judge_key(known, "jtk_1", "a"), KeyVerdict::same_request);
  EXPECT_EQ(judge_key(known, "jtk_1", "b").error().code, Errc::conflict);
  EXPECT_EQ(judge_key(known, "jtk_2", "a").error().code, Errc::conflict);
  const KnownKey by_rotation{"", "", Request::none, Holder::node};
  EXPECT_EQ(judge_key(by_rotation, "", "").error().code, Errc::conflict);
  const KnownKey rejected{"jtk_1", "a", Request::rejected, Holder::nobody};
  EXPECT_EQ(*judge_key(rejected, "jtk_1", "a"), KeyVerdict::same_request)
      << "told the reason again";
  EXPECT_EQ(*judge_key(rejected, "jtk_2", "a"), KeyVerdict::new_request);
  for (const Request request : {Request::none, Request::pending, Request::approved}) {
    const KnownKey revoked{"jtk_1", "a", request, Holder::revoked};
    EXPECT_EQ(judge_key(revoked, "jtk_1", "a").error().code, Errc::forbidden);
  }
}

TEST(JoinKey, ANodeWhoseCertificateEndedRenews) {
  using Request = KnownKey::Request;
  using Holder = KnownKey::Holder;
  // The token that was good once is not good for ever: it is judged again.
  const KnownKey approved{"jtk_1", "a", Request::approved, Holder::lapsed};
  EXPECT_EQ(*judge_key(approved, "jtk_1", "a"), KeyVerdict::renewal);
  EXPECT_EQ(*judge_key(approved, "jtk_2", "b"), KeyVerdict::renewal);
  const KnownKey by_rotation{"", "", Request::none, Holder::lapsed};
  EXPECT_EQ(*judge_key(by_rotation, "jtk_2", "a"), KeyVerdict::renewal);
  const KnownKey waiting{"jtk_2", "a", Request::pending, Holder::lapsed};
  EXPECT_EQ(*judge_key(waiting, "jtk_2", "a"), KeyVerdict::same_request);
  EXPECT_EQ(judge_key(waiting, "jtk_3", "a").error().code, Errc::conflict);
  const KnownKey rejected{"jtk_2", "a", Request::rejected, Holder::lapsed};
  EXPECT_EQ(*judge_key(rejected, "jtk_2", "a"), KeyVerdict::same_request) << "told the reason";
  EXPECT_EQ(*judge_key(rejected, "jtk_3", "a"), KeyVerdict::renewal);
  const KnownKey lives{"jtk_2", "a", Request::rejected, Holder::node};
  EXPECT_EQ(judge_key(lives, "jtk_3", "a").error().code, Errc::conflict);
}

TEST(Capabilities, NamesOrObjects) {
  const auto parse = [](const char* text) {
    return parse_capabilities(boost::json::parse(text).as_array());
  };
  const auto good =
      parse(R"(["can_a",{"name":"can_b","detail":{"x":1}},{"name":"can_c","detail":"t"},"can_a"])");
  ASSERT_TRUE(good);
  ASSERT_EQ(good->size(), 3u);
  EXPECT_EQ((*good)[1].detail, R"({"x":1})");
  EXPECT_EQ((*good)[2].detail, R"({"text":"t"})");
  for (const char* bad :
       {"[1]", "[{}]", R"([{"name":1}])", R"(["Can A"])", R"([""])", "[null]", "[[]]"}) {
    EXPECT_FALSE(parse(bad)) << bad;
  }
}

TEST(NodeName, IsWhatAnAgentTakes) {
  for (const char* good : {"n", "berlin-1", "a.b", "A9"}) EXPECT_TRUE(is_node_name(good)) << good;
  EXPECT_TRUE(is_node_name(std::string(63, 'a')));
  EXPECT_FALSE(is_node_name(std::string(64, 'a')));
  for (const char* bad : {"", "-", "-a", "a-", ".a", "bad name!", "a_b", "a/b", "\xc3\xa4"}) {
    EXPECT_FALSE(is_node_name(bad)) << bad;
  }
}

}  // namespace
}  // namespace rap::cp
