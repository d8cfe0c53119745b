#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "controlplane/mesh/names.hpp"
#include "controlplane/mesh/report_rules.hpp"

namespace rap::cp {
namespace {

constexpr const char* kSelf = "nod_00000000000000000000000001";
constexpr const char* kPeer = "nod_00000000000000000000000002";
const SystemTime kNow = from_unix_seconds(1'800'000'000);

boost::json::object good() {
  return boost::json::parse(
             R"({"boot_id":"b","seq":3,"endpoints":["10.0.0.1:7443","[2001:db8::1]:443"],
    "attached":["nod_00000000000000000000000003"],"load_permille":120,"draining":true,
    "links":[{"peer":"nod_00000000000000000000000002","state":"up","for_ms":5000,"age_ms":100,
              "rtt_us":1200,"loss_permille":3,"kbps":80000},
             {"peer":"nod_00000000000000000000000004","state":"down"}]})")
      .as_object();
}

TEST(MeshReport, TakesAgesAndLeavesUnknownFiguresUnknown) {
  const auto report = parse_mesh_report(good(), kSelf, kNow);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->seq, 3);
  EXPECT_TRUE(report->draining);
  ASSERT_EQ(report->links.size(), 2u);
  EXPECT_EQ(report->links[0].since, kNow - std::chrono::seconds(5));
  EXPECT_EQ(report->links[0].measured, kNow - std::chrono::milliseconds(100));
  EXPECT_EQ(report->links[0].rtt_us, 1200);
  EXPECT_FALSE(report->links[1].up);
  EXPECT_FALSE(report->links[1].rtt_us.has_value());
}

TEST(MeshReport, RefusesWhatIsNone) {
  struct Case {
    const char* member;
    const char* value;
  };
  const Case cases[] = {
      {"seq", "0"},
      {"seq", "9007199254740992"},
      {"seq", "\"1\""},
      {"seq", "null"},
      {"boot_id", "\"\""},
      {"boot_id", "7"},
      {"load_permille", "1001"},
      {"load_permille", "-1"},
      {"draining", "1"},
      {"endpoints", R"(["10.0.0.1"])"},
      {"endpoints", R"(["10.0.0.1:0"])"},
      {"endpoints", R"(["a b:1"])"},
      {"endpoints", R"([7])"},
      {"endpoints", R"(["h:1","h:1"])"},
      {"endpoints", R"(["h:1","h:2","h:3","h:4","h:5","h:6","h:7","h:8","h:9"])"},
      {"attached", R"(["nod_x"])"},
      {"attached", R"(["nod_00000000000000000000000001"])"},  // itself
      {"links", "{}"},
      {"links", "[7]"},
      {"links", R"([{"peer":"nod_x","state":"up"}])"},
      {"links", R"([{"peer":"nod_00000000000000000000000001","state":"up"}])"},  // itself
      {"links", R"([{"peer":"nod_00000000000000000000000002","state":"flapping"}])"},
      {"links", R"([{"peer":"nod_00000000000000000000000002"}])"},
      {"links", R"([{"peer":"nod_00000000000000000000000002","state":"up","rtt_us":-1}])"},
      {"links", R"([{"peer":"nod_00000000000000000000000002","state":"up","rtt_us":60000001}])"},
      {"links", R"([{"peer":"nod_00000000000000000000000002","state":"up","rtt_us":1.5}])"},
      {"links", R"([{"peer":"nod_00000000000000000000000002","state":"up","loss_permille":1001}])"},
      {"links",
       R"([{"peer":"nod_00000000000000000000000002","state":"up","for_ms":9000000000000}])"},
      {"links", R"([{"peer":"nod_00000000000000000000000002","state":"up","of":"nod_x"}])"},
      {"links", R"([{"peer":"nod_00000000000000000000000002","state":"up"},
                    {"peer":"nod_00000000000000000000000002","state":"down"}])"},
      {"more", "1"},
  };
  for (const Case& c : cases) {
    boost::json::object object = good();
    object[c.member] = boost::json::parse(c.value);
    const auto report = parse_mesh_report(object, kSelf, kNow);
    ASSERT_FALSE(report) << c.member << " " << c.value;
    EXPECT_EQ(report.error().code, Errc::invalid) << c.member << " " << c.value;
  }
  boost::json::object many = good();
  boost::json::array links(kReportLinksMax + 1, boost::json::parse(R"({"peer":"x","state":"up"})"));
  many["links"] = std::move(links);
  EXPECT_FALSE(parse_mesh_report(many, kSelf, kNow));
}

TEST(MeshReport, OrderIsThatOfTheNode) {
  const auto report = [](std::string boot, std::int64_t seq) {
    MeshReport out;
    out.boot_id = std::move(boot);
    out.seq = seq;
    return out;
  };
  const ReportOrder stored{"b2", "b1", 5};
  EXPECT_TRUE(is_newer(report("b2", 6), stored));
  EXPECT_FALSE(is_newer(report("b2", 5), stored));   // twice
  EXPECT_FALSE(is_newer(report("b2", 4), stored));   // late
  EXPECT_FALSE(is_newer(report("b1", 99), stored));  // of the boot before
  EXPECT_TRUE(is_newer(report("b3", 1), stored));
}

TEST(MeshReport, ChangesAreUpsAndDowns) {
  const auto link = [](std::string peer, bool up) {
    ReportedLink out;
    out.peer = std::move(peer);
    out.up = up;
    out.since = kNow - std::chrono::seconds(1);
    return out;
  };
  const auto changes = link_changes({link("stays", true), link("falls", true), link("rises", false),
                                     link("vanishes", true), link("was down", false)},
                                    {link("stays", true), link("falls", false), link("rises", true),
                                     link("new", true), link("new down", false)},
                                    kNow);
  std::vector<std::string> said;
  for (const LinkChange& c : changes) said.push_back(c.peer + (c.up ? " up" : " down"));
  EXPECT_EQ(said, (std::vector<std::string>{"falls down", "rises up", "new up", "vanishes down"}));
  EXPECT_EQ(changes.back().since, kNow);
}

TEST(MeshReport, LinksSurviveStorage) {
  const auto report = parse_mesh_report(good(), kSelf, kNow);
  ASSERT_TRUE(report);
  const auto back = links_from_json(links_to_json(report->links));
  ASSERT_EQ(back.size(), 2u);
  EXPECT_EQ(back[0].peer, kPeer);
  EXPECT_EQ(back[0].since, report->links[0].since);
  EXPECT_EQ(back[0].rtt_us, 1200);
  EXPECT_FALSE(back[1].kbps.has_value());
  EXPECT_TRUE(links_from_json(boost::json::parse(R"([7,{},{"peer":"x"}])").as_array()).empty());
}

TEST(MeshReport, LoadIsToldInSteps) {
  EXPECT_EQ(load_to_tell(std::nullopt, 40), 40);
  EXPECT_EQ(load_to_tell(40, 189), 40);
  EXPECT_EQ(load_to_tell(40, 190), 190);
  EXPECT_EQ(load_to_tell(400, std::nullopt), std::nullopt);
}

TEST(MeshNames, ServiceIdsTellNothing) {
  const std::string a = fresh_service_id().str(), b = fresh_service_id().str();
  EXPECT_TRUE(MeshServiceId::parse(a));
  EXPECT_NE(a.substr(0, 14), b.substr(0, 14));  // where other ids have the time
}

TEST(MeshNames, PublicEndpointsAreHostsThatACertificateMayName) {
  const auto of = [](const char* list) {
    return public_endpoints(
        boost::json::parse(std::string(R"({"config":{"public_endpoints":)") + list + "}}")
            .as_object());
  };
  const auto good = of(R"(["entry.example.org:443","203.0.113.7:443","[2001:db8::1]:8443"])");
  ASSERT_TRUE(good) << good.error().text();
  EXPECT_EQ(*certificate_hosts(*good),
            (std::vector<std::string>{"entry.example.org", "203.0.113.7", "2001:db8::1"}));
  EXPECT_TRUE(of("null")->empty());
  EXPECT_TRUE(public_endpoints({})->empty());
  for (const char* bad :
       {R"("a:1")", R"([7])", R"(["a"])", R"(["*.example.org:443"])", R"(["a..b:443"])",
        R"(["a.:443"])", R"(["-a:443"])", R"(["10.0.0:443"])", R"(["a,URI:spiffe://x:443"])",
        R"(["Entry:443"])", R"(["a_b:443"])", R"(["a:0"])",
        R"(["a:1","b:1","c:1","d:1","e:1","f:1","g:1","h:1","i:1"])"}) {
    EXPECT_FALSE(of(bad)) << bad;
  }
}

TEST(MeshNames, AnyTextBecomesADirectoryName) {
  EXPECT_EQ(directory_name("", "default"), "default");
  EXPECT_EQ(directory_name("eu west/1", "x"), "eu-west-1");
  EXPECT_TRUE(is_directory_name(directory_name(std::string(300, '\xff'), "x")));
}

}  // namespace
}  // namespace rap::cp
