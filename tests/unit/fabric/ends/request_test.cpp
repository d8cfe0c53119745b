#include "fabric/ends/request.hpp"

#include <gtest/gtest.h>

#include "fabric/names.hpp"
#include "tests/support/mesh_rig.hpp"

namespace rap::fabric {
namespace {

using routing::ChannelClass;
using test::node_id;

const MeshTarget kService{MeshTarget::Kind::service, test::numbered("svc_", 1)};
const MeshTarget kNode{MeshTarget::Kind::node, node_id(9)};

MeshRequest request() {
  MeshRequest out;
  out.target = kService;
  out.carry = "a.b.c";
  out.path = {node_id(2), node_id(3)};
  return out;
}

ConnectRequest with(ConnectRequest from, std::string name, std::string value) {
  from.headers.set(name, std::move(value));
  return from;
}
ConnectRequest without(ConnectRequest from, std::string_view name) {
  std::erase_if(from.headers, [&](const auto& header) { return header.name == name; });
  return from;
}

TEST(MeshRequest, IsReadAsItIsWritten) {
  MeshRequest sent = request();
  sent.channel_class = ChannelClass::bulk;
  sent.trace = true;
  const auto read = parse_mesh_request(to_connect_request(sent), Asker::node);
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->target, sent.target);
  EXPECT_EQ(read->carry, sent.carry);
  EXPECT_EQ(read->channel_class, ChannelClass::bulk);
  EXPECT_EQ(read->path, sent.path);
  EXPECT_TRUE(read->trace);

  MeshRequest own;
  own.target = kNode;
  own.path = {kNode.id};
  EXPECT_TRUE(parse_mesh_request(to_connect_request(own), Asker::node));
  // A client has a lease, always, and chooses no path.
  EXPECT_FALSE(parse_mesh_request(to_connect_request(own), Asker::client));
  MeshRequest of_client = request();
  of_client.path.clear();
  EXPECT_TRUE(parse_mesh_request(to_connect_request(of_client), Asker::client));
  EXPECT_FALSE(parse_mesh_request(to_connect_request(of_client), Asker::node));
}

TEST(MeshRequest, RefusesWhatIsHostile) {
  const ConnectRequest good = to_connect_request(request());
  ASSERT_TRUE(parse_mesh_request(good, Asker::node));
  ConnectRequest twice = good;
  twice.headers.push_back({"rap-path", node_id(5)});
  ConnectRequest two_leases = good;
  two_leases.headers.push_back({"rap-carry", "x"});
  ConnectRequest elsewhere = good;
  elsewhere.authority = "example.com:443";
  MeshRequest to_node = request();
  to_node.target = kNode;
  const ConnectRequest node = to_connect_request(to_node);
  ASSERT_TRUE(parse_mesh_request(node, Asker::node));
  const struct {
    const char* what;
    ConnectRequest request;
    Errc code;
  } cases[] = {
      {"path twice", twice, Errc::malformed},
      {"lease twice", two_leases, Errc::malformed},
      {"authority", elsewhere, Errc::malformed},
      {"no lease", without(good, "rap-carry"), Errc::unauthorized},
      {"empty lease", with(good, "rap-carry", ""), Errc::malformed},
      {"long lease", with(good, "rap-carry", std::string(4097, 'a')), Errc::too_large},
      {"no class", without(good, "rap-class"), Errc::malformed},
      {"class", with(good, "rap-class", "Bulk"), Errc::malformed},
      {"classes", with(good, "rap-class", "interactive,bulk"), Errc::malformed},
      {"no path", without(good, "rap-path"), Errc::malformed},
      {"service of a service", with(good, "rap-service", "synthetic.echo"), Errc::malformed},
      {"node without service", without(node, "rap-service"), Errc::malformed},
      {"other service", with(node, "rap-service", "shell"), Errc::unsupported},
      {"trace", with(good, "rap-trace", "0"), Errc::malformed},
      {"trace without lease", with(without(node, "rap-carry"), "rap-trace", "1"),
       Errc::unauthorized},
  };
  for (const auto& c : cases) {
    const auto read = parse_mesh_request(c.request, Asker::node);
    ASSERT_FALSE(read) << c.what;
    EXPECT_EQ(read.error().code, c.code) << c.what;
  }
}

TEST(MeshPath, RefusesLoopsLengthAndOtherTexts) {
  EXPECT_EQ(*parse_path(node_id(1)), std::vector<std::string>{node_id(1)});
  std::vector<std::string> four{node_id(1), node_id(2), node_id(3), node_id(4)};
  EXPECT_EQ(*parse_path(format_path(four)), four);
  four.push_back(node_id(5));
  EXPECT_EQ(parse_path(format_path(four)).error().code, Errc::too_large);
  const std::string a = node_id(1), b = node_id(2);
  for (const std::string& text :
       {std::string(), std::string(","), a + ",", "," + a, a + "," + a, a + ", " + b, a + ";" + b,
        a + "," + b + "," + a, std::string("nod_1"), a + "x", " " + a, test::org_id(1),
        a + std::string(1, '\0'), std::string(100'000, ','), std::string("NOD_") + a.substr(4)}) {
    EXPECT_EQ(parse_path(text).error().code, Errc::malformed) << text.substr(0, 80);
  }
}

TEST(MeshHops, RefuseWhatIsNoTime) {
  const std::vector<HopTime> hops{{node_id(1), 12.345}, {node_id(2), 0}};
  EXPECT_EQ(format_hops(hops), node_id(1) + "=12.35," + node_id(2) + "=0.00");
  const auto read = parse_hops(format_hops(hops));
  ASSERT_TRUE(read);
  EXPECT_EQ((*read)[0].node, node_id(1));
  EXPECT_DOUBLE_EQ((*read)[0].setup_ms, 12.35);
  const std::string a = node_id(1);
  for (const std::string& text :
       {std::string(), a, a + "=", a + "=-1", a + "=nan", a + "=inf", a + "=1e9", a + "=1 ",
        a + "=0x1p3", a + "=99999999999", std::string("=1"), a + "=1,", a + "=1;" + a + "=2"}) {
    EXPECT_EQ(parse_hops(text).error().code, Errc::malformed) << text;
  }
  std::vector<HopTime> six(6, HopTime{a, 1});
  EXPECT_EQ(parse_hops(format_hops(six)).error().code, Errc::too_large);
}

TEST(HopRefusal, IsCutToWhatCanBeSaid) {
  ConnectAnswer answer;
  answer.status = 503;
  answer.headers = refusal_headers({{Errc::unavailable, "no\r\nanswer"}, node_id(4)});
  HopRefusal read = read_refusal(answer);
  EXPECT_EQ(read.error.code, Errc::unavailable);
  EXPECT_EQ(read.error.detail, "no??answer");
  EXPECT_EQ(read.failed_node, node_id(4));
  answer.headers.set("rap-failed", "nod_x, everybody");
  answer.headers.set("rap-error", "made-up");
  answer.headers.set("rap-detail", std::string(5000, 'x'));
  read = read_refusal(answer);
  EXPECT_EQ(read.failed_node, "");
  EXPECT_EQ(read.error.code, Errc::internal);
  EXPECT_EQ(read.error.detail.size(), 300u);
}

TEST(HopRefusal, ClientsHearNoNames) {
  for (int code = 0; code <= static_cast<int>(Errc::internal); ++code) {
    const Error told =
        told_to_client({static_cast<Errc>(code), "path: " + node_id(7) + " at 10.1.2.3"});
    EXPECT_EQ(told.detail.find("nod_"), std::string::npos) << told.text();
    EXPECT_EQ(told.detail.find("10.1"), std::string::npos) << told.text();
    EXPECT_FALSE(told.detail.empty());
  }
}

}  // namespace
}  // namespace rap::fabric
