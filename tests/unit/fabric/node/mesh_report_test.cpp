// What a node reports is what the control plane reads.
#include "fabric/node/mesh_report.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "controlplane/mesh/report_rules.hpp"
#include "tests/support/mesh_rig.hpp"

namespace rap::fabric {
namespace {

using routing::MonoTime;

class MeshReport : public ::testing::Test {
 protected:
  routing::Directory directory = [] {
    std::vector<routing::NodeEntry> nodes{test::hidden(1, {2})};
    for (unsigned number = 2; number <= 500; ++number) nodes.push_back(test::relay(number));
    return test::compiled(test::mesh(std::move(nodes)));
  }();
  routing::Measurements measured;
  std::vector<LinkFacts> links;

  routing::NodeIndex index(unsigned number) { return directory.find(test::node_id(number)); }
  void dialled(unsigned number, DialledBy by = DialledBy::us) {
    LinkFacts link;
    link.node_id = test::node_id(number);
    link.by = by;
    link.state = LinkState::active;
    links.push_back(link);
  }
  boost::json::object report(MeshReportHead head, std::int64_t now_ms) {
    head.boot_id = "boot";
    head.seq = 7;
    return mesh_report(head, links, directory, measured, MonoTime(now_ms));
  }
  cp::MeshReport read(const boost::json::object& text) {
    auto out = cp::parse_mesh_report(text, test::node_id(1), test::kIssued);
    EXPECT_TRUE(out) << (out ? "" : out.error().text());
    return out ? *out : cp::MeshReport();
  }
};

TEST_F(MeshReport, SaysWhoIsLinkedHowLongAndHowWell) {
  measured.link_up(index(2), MonoTime(1'000));
  measured.ping(index(2), 1.25f, MonoTime(9'000), directory.policy().decay);
  dialled(2);
  dialled(3, DialledBy::them);
  MeshReportHead head;
  head.endpoints = {"10.0.0.1:7444"};
  head.load_permille = 120;
  const cp::MeshReport said = read(report(head, 10'000));
  EXPECT_EQ(said.boot_id, "boot");
  EXPECT_EQ(said.seq, 7);
  EXPECT_EQ(said.endpoints, std::vector<std::string>{"10.0.0.1:7444"});
  EXPECT_EQ(said.attached, std::vector<std::string>{test::node_id(2)}) << "3 has dialled us";
  EXPECT_EQ(said.load_permille, 120);
  EXPECT_FALSE(said.draining);
  ASSERT_EQ(said.links.size(), 1u);
  EXPECT_TRUE(said.links[0].up);
  EXPECT_EQ(said.links[0].since, test::kIssued - std::chrono::milliseconds(9'000));
  EXPECT_EQ(said.links[0].measured, test::kIssued - std::chrono::milliseconds(1'000));
  EXPECT_EQ(said.links[0].rtt_us, 1'250);
  EXPECT_EQ(said.links[0].kbps, std::nullopt) << "not measured";
}

TEST_F(MeshReport, ALostLinkIsToldForAWhile) {
  measured.link_up(index(2), MonoTime(1'000));
  measured.link_down(index(2), routing::Measurements::DownCause::lost, MonoTime(2'000),
                     directory.policy().decay);
  const auto soon = read(report({}, 3'000));
  ASSERT_EQ(soon.links.size(), 1u);
  EXPECT_FALSE(soon.links[0].up);
  EXPECT_TRUE(read(report({}, 2'000 + 300'001)).links.empty());
}

TEST_F(MeshReport, HoldsWhatOneMessageHolds) {
  for (unsigned number = 2; number <= 500; ++number) {
    measured.link_up(index(number), MonoTime(0));
    measured.ping(index(number), 59'999, MonoTime(1), directory.policy().decay);
    dialled(number);
  }
  MeshReportHead head;
  for (int i = 0; i < 8; ++i) head.endpoints.push_back(std::string(100, 'a') + ":44" + "0");
  const auto text = report(head, 31'000'000'000);
  EXPECT_LT(boost::json::serialize(text).size(), 60'000u);
  EXPECT_EQ(text.at("links").as_array().size(), kReportedLinksMax);
  EXPECT_EQ(text.at("attached").as_array().size(), kReportedAttachedMax);
}

TEST_F(MeshReport, FiguresAloneAreNoNews) {
  measured.link_up(index(2), MonoTime(1'000));
  const std::string before = mesh_report_gist(report({}, 2'000));
  measured.ping(index(2), 3, MonoTime(3'000), directory.policy().decay);
  EXPECT_EQ(mesh_report_gist(report({}, 4'000)), before);
  measured.link_down(index(2), routing::Measurements::DownCause::graceful, MonoTime(5'000),
                     directory.policy().decay);
  EXPECT_NE(mesh_report_gist(report({}, 6'000)), before);
}

}  // namespace
}  // namespace rap::fabric
