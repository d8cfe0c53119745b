// Keys of the mesh process: kept, asked for, believed only when they are what was asked for.
#include "host/agent/state/mesh_keys.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/json.hpp>

#include "tests/support/test_ca.hpp"
#include "tests/unit/agent/temp_dir.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr const char* kCluster = "clu_1";
constexpr const char* kNode = "nod_1";
const MeshUse kMesh{MeshPurpose::mesh, ""};
const MeshUse kService{MeshPurpose::service, "org_1"};

// Keys of which the test's CA has signed one: it makes its keys itself, so they are put into the
// file.
struct Signed {
  explicit Signed(const std::string& uri, std::chrono::seconds from = -5min,
                  std::chrono::seconds until = 24h) {
    test::CertificateWish wish;
    wish.subject_alt_name = "URI:" + uri;
    wish.from = from;
    wish.until = until;
    identity = ca.issue(wish);
  }
  MeshKeys keys(const MeshUse& use, const std::string& certificate = "") const {
    const json::object entry = {{"purpose", name(use.first)},
                                {"organization", use.second},
                                {"key_pem", identity.key_pem},
                                {"certificate_pem", certificate}};
    return MeshKeys::parse(json::serialize(json::object{{"keys", {entry}}})).value();
  }
  json::object answer(const MeshUse& use, const std::string& service = "") const {
    const json::object given = {{"organization_id", use.second},
                                {"service_id", service},
                                {"certificate_pem", identity.certificate_pem}};
    json::object out = {{"services", json::array{}}, {"refused", json::array{}}};
    if (use.first == MeshPurpose::service) {
      out["services"].as_array().push_back(given);
    } else {
      out[name(use.first)] = given;
    }
    return out;
  }
  test::TestCa ca;
  net::TlsIdentity identity;
  const SystemTime now = RealClock().now();
};

TEST(MeshKeys, AreMadeKeptAndForgotten) {
  TempDir dir;
  const auto path = dir.path() / "mesh.json";
  auto keys = MeshKeys::read(path);
  ASSERT_TRUE(keys) << "none is no fault";
  EXPECT_TRUE(keys->want({kMesh, kService}));
  EXPECT_FALSE(keys->want({kMesh, kService}));
  ASSERT_TRUE(keys->write(path));
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  auto again = MeshKeys::read(path);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->serialize(), keys->serialize());
  EXPECT_NE(again->all().at(kMesh).key_pem, again->all().at(kService).key_pem);
  EXPECT_TRUE(again->want({kMesh}));
  EXPECT_EQ(again->all().size(), 1u);
  EXPECT_EQ(again->all().at(kMesh).key_pem, keys->all().at(kMesh).key_pem);
  dir.write("mesh.json", "{\"keys\":[{\"purpose\":\"mesh\"}]}");
  EXPECT_EQ(MeshKeys::read(path).error().code, Errc::malformed);
}

TEST(MeshKeys, AreAskedForInRequestsOfTheServersSize) {
  std::set<MeshUse> uses{kMesh, {MeshPurpose::entry, ""}};
  for (int i = 0; i < 65; ++i) uses.insert({MeshPurpose::service, "org_" + std::to_string(i)});
  MeshKeys keys;
  keys.want(uses);
  const auto due = keys.due(RealClock().now());
  EXPECT_EQ(due.size(), uses.size());
  const auto requests = keys.requests(due);
  ASSERT_TRUE(requests) << requests.error().text();
  ASSERT_EQ(requests->size(), 2u);
  EXPECT_TRUE(requests->at(0).contains("mesh_csr_pem"));
  EXPECT_TRUE(requests->at(0).contains("entry_csr_pem"));
  EXPECT_EQ(requests->at(0).at("services").as_array().size(), 64u);
  EXPECT_EQ(requests->at(1).at("services").as_array().size(), 1u);
  EXPECT_EQ(requests->at(1).size(), 1u);
  EXPECT_TRUE(MeshKeys().requests({})->empty());
}

TEST(MeshKeys, TakeWhatTheyAskedFor) {
  const Signed mesh("spiffe://clu_1/node/nod_1/mesh");
  MeshKeys keys = mesh.keys(kMesh);
  json::object answer = mesh.answer(kMesh);
  answer["refused"].as_array().push_back(json::object{
      {"purpose", "entry"}, {"organization_id", nullptr}, {"code", "forbidden"}, {"detail", "no"}});
  const auto refused = keys.take(answer, kCluster, kNode, mesh.ca.pem(), mesh.now);
  ASSERT_TRUE(refused);
  ASSERT_EQ(refused->size(), 1u);
  EXPECT_EQ(refused->front().code, "forbidden");
  EXPECT_EQ(keys.all().at(kMesh).certificate_pem, mesh.identity.certificate_pem);
  EXPECT_TRUE(keys.due(mesh.now).empty());

  const Signed service("spiffe://clu_1/service/svc_1");
  MeshKeys others = service.keys(kService);
  ASSERT_TRUE(others.take(service.answer(kService, "svc_1"), kCluster, kNode, service.ca.pem(),
                          service.now));
  EXPECT_EQ(others.all().at(kService).service_id, "svc_1");
}

TEST(MeshKeys, TakeNothingElse) {
  const Signed good("spiffe://clu_1/node/nod_1/mesh");
  const auto why = [&](MeshKeys keys, const json::object& answer, const std::string& ca) {
    const MeshKeys before = keys;
    const auto refused = keys.take(answer, kCluster, kNode, ca, good.now);
    EXPECT_EQ(keys.serialize(), before.serialize());
    return refused && refused->size() == 1 ? refused->front().code : "taken";
  };
  MeshKeys fresh;
  fresh.want({kMesh});
  EXPECT_EQ(why(fresh, good.answer(kMesh), good.ca.pem()), "mismatch") << "another key";
  EXPECT_EQ(why(MeshKeys(), good.answer(kMesh), good.ca.pem()), "mismatch") << "not asked for";
  EXPECT_NE(why(good.keys(kMesh), good.answer(kMesh), test::TestCa().pem()), "taken")
      << "another CA";
  const Signed node("spiffe://clu_1/node/nod_1");
  EXPECT_EQ(why(node.keys(kMesh), node.answer(kMesh), node.ca.pem()), "mismatch")
      << "that of the node itself";
  const Signed foreign("spiffe://clu_2/node/nod_1/mesh");
  EXPECT_EQ(why(foreign.keys(kMesh), foreign.answer(kMesh), foreign.ca.pem()), "mismatch");
  const Signed ended("spiffe://clu_1/node/nod_1/mesh", -2h, -1h);
  EXPECT_EQ(why(ended.keys(kMesh), ended.answer(kMesh), ended.ca.pem()), "expired");
  const Signed service("spiffe://clu_1/service/svc_1");
  EXPECT_EQ(why(service.keys(kService), service.answer(kService, "svc_2"), service.ca.pem()),
            "mismatch");
  MeshKeys keys = good.keys(kMesh);
  EXPECT_FALSE(keys.take({}, kCluster, kNode, good.ca.pem(), good.now));
}

TEST(MeshKeys, AreDueAtHalfLife) {
  const Signed young("spiffe://clu_1/node/nod_1/mesh", -1h, 3h);
  EXPECT_TRUE(young.keys(kMesh, young.identity.certificate_pem).due(young.now).empty());
  EXPECT_EQ(young.keys(kMesh, young.identity.certificate_pem).due(young.now + 61min).size(), 1u);
  // One that has none is asked for alone; at half life all are, at once.
  MeshKeys keys = young.keys(kMesh, young.identity.certificate_pem);
  keys.want({kMesh, kService});
  EXPECT_EQ(keys.due(young.now), std::vector<MeshUse>{kService});
  EXPECT_EQ(keys.due(young.now + 61min).size(), 2u);
}

}  // namespace
}  // namespace rap::agent
