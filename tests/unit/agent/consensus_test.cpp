#include "host/agent/snapshot/consensus.hpp"

#include <gtest/gtest.h>

#include <functional>

#include <boost/json.hpp>

namespace rap::agent {
namespace {

ListedTarget listed() {
  ListedTarget out;
  out.path = manifest_path("plugin.rap.ssh", "0.1.0");
  out.length = 100;
  out.sha256 = std::string(64, 'a');
  out.kind = "manifest";
  out.product = "plugin.rap.ssh";
  out.version = "0.1.0";
  out.release_seq = 4;
  out.security_epoch = 2;
  out.cluster_id = "cls_1";
  out.node_id = "nod_1";
  out.authority_term = 5;
  return out;
}

TEST(Consensus, BothAgree) {
  EXPECT_TRUE(check_consensus(listed(), listed(), 2));
}

TEST(Consensus, OneSideAloneIsNothing) {
  EXPECT_EQ(check_consensus(std::nullopt, listed(), 0).error().code, Errc::not_found);
  EXPECT_EQ(check_consensus(listed(), std::nullopt, 0).error().code, Errc::not_found);
  EXPECT_FALSE(check_consensus(std::nullopt, std::nullopt, 0));
}

TEST(Consensus, EveryDifferenceIsNamed) {
  const std::pair<const char*, std::function<void(ListedTarget&)>> changes[] = {
      {"path", [](ListedTarget& t) { t.path += "x"; }},
      {"length", [](ListedTarget& t) { ++t.length; }},
      {"sha256", [](ListedTarget& t) { t.sha256[0] = 'b'; }},
      {"product", [](ListedTarget& t) { t.product = "plugin.other.ssh"; }},
      {"version", [](ListedTarget& t) { t.version = "0.1.1"; }},
      {"release_seq", [](ListedTarget& t) { ++t.release_seq; }},
      {"security_epoch", [](ListedTarget& t) { ++t.security_epoch; }},
  };
  for (const auto& [field, change] : changes) {
    ListedTarget other = listed();
    change(other);
    const Status status = check_consensus(listed(), other, 0);
    ASSERT_FALSE(status) << field;
    EXPECT_EQ(status.error().code, Errc::mismatch) << field;
    EXPECT_NE(status.error().detail.find(field), std::string::npos) << status.error().detail;
  }
}

TEST(Consensus, NoHashIsNoAgreement) {
  ListedTarget bare = listed();
  bare.sha256.clear();
  EXPECT_FALSE(check_consensus(bare, bare, 0));
}

TEST(Consensus, EpochFloorHolds) {
  EXPECT_EQ(check_consensus(listed(), listed(), 3).error().code, Errc::rollback);
}

TEST(Scope, OnlyForThisNodeAndNoOldAuthority) {
  const NodeScope scope{"cls_1", "nod_1", 5};
  EXPECT_TRUE(check_scope(listed(), scope));
  EXPECT_EQ(check_scope(listed(), {"cls_2", "nod_1", 5}).error().code, Errc::forbidden);
  EXPECT_EQ(check_scope(listed(), {"cls_1", "nod_2", 5}).error().code, Errc::forbidden);
  EXPECT_EQ(check_scope(listed(), {"cls_1", "nod_1", 6}).error().code, Errc::rollback);
  ListedTarget silent = listed();
  silent.authority_term = -1;
  EXPECT_EQ(check_scope(silent, scope).error().code, Errc::invalid);
}

TEST(ListedTarget, ReadsCustomAndRefusesOtherTypes) {
  auto good = listed_target("p", 1, "aa", boost::json::parse(R"({"kind":"snapshot",
      "authority_term":3,"node_id":"n","cluster_id":"c","other":[1]})"));
  ASSERT_TRUE(good);
  EXPECT_EQ(good->kind, "snapshot");
  EXPECT_EQ(good->authority_term, 3);
  EXPECT_EQ(good->release_seq, -1);
  for (const char* bad : {"[]", "7", R"({"kind":7})", R"({"authority_term":"3"})",
                          R"({"release_seq":-1})", R"({"security_epoch":1.5})"}) {
    EXPECT_FALSE(listed_target("p", 1, "aa", boost::json::parse(bad))) << bad;
  }
}

}  // namespace
}  // namespace rap::agent
