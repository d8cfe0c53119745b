// What the mesh takes from its host, and what it does not.
#include "plugins/mesh/given.hpp"

#include <gtest/gtest.h>

#include "fabric/mesh_names.hpp"
#include "tests/support/test_ca.hpp"

namespace rap::mesh {
namespace {

const std::string kCluster = "cls_00000000000000000000000000";
const std::string kNode = "nod_00000000000000000000000001";

std::string key_json(std::uint8_t seed) {
  const Bytes key = *fabric::lease_public_key(Bytes(32, seed));
  return R"({"kid":")" + fabric::lease_key_id(key) + R"(","public":")" + to_hex(key) + "\"}";
}

std::string access_json(const std::string& keys, const std::string& more = "") {
  return R"({"format":1,"cluster_id":")" + kCluster + R"(","node_id":")" + kNode +
         R"(","lease_keys":[)" + keys + "]" + more + "}";
}

TEST(MeshAccess, SaysWhoTheNodeIsAndWhoseLeasesCount) {
  const auto access = parse_access(access_json(key_json(1) + "," + key_json(2)));
  ASSERT_TRUE(access) << access.error().text();
  EXPECT_EQ(access->cluster_id, kCluster);
  EXPECT_EQ(access->node_id, kNode);
  ASSERT_EQ(access->lease_keys.size(), 2u);
  EXPECT_EQ(access->lease_keys[1].public_key, *fabric::lease_public_key(Bytes(32, 2)));
  EXPECT_TRUE(parse_access(access_json(""))) << "a node that is not active";
}

TEST(MeshAccess, NothingElseIsOne) {
  std::string many = key_json(1);
  for (int i = 2; i <= 17; ++i) many += "," + key_json(static_cast<std::uint8_t>(i));
  const std::string other_id =
      R"({"kid":"0123456789abcdef","public":")" + std::string(64, 'a') + "\"}";
  const std::pair<std::string, Errc> kHostile[] = {
      {"", Errc::malformed},
      {"{", Errc::malformed},
      {"[]", Errc::invalid},
      {"{}", Errc::invalid},
      {access_json("") + "x", Errc::malformed},
      {access_json("", R"(,"format":1)"), Errc::malformed},
      {access_json("", R"(,"more":1)"), Errc::invalid},
      {R"({"format":2,"cluster_id":")" + kCluster + R"(","node_id":")" + kNode +
           R"(","lease_keys":[]})",
       Errc::unsupported},
      {R"({"format":1,"cluster_id":"cls_1","node_id":")" + kNode + R"(","lease_keys":[]})",
       Errc::invalid},
      {R"({"format":1,"cluster_id":")" + kNode + R"(","node_id":")" + kNode +
           R"(","lease_keys":[]})",
       Errc::invalid},
      {R"({"format":1,"cluster_id":")" + kCluster + R"(","node_id":"../x","lease_keys":[]})",
       Errc::invalid},
      {R"({"format":1,"cluster_id":")" + kCluster + R"(","node_id":")" + kNode + "\"}",
       Errc::invalid},
      {access_json("1"), Errc::invalid},
      {access_json("{}"), Errc::invalid},
      {access_json(R"({"kid":"x","public":"zz"})"), Errc::malformed},
      {access_json(other_id), Errc::invalid},
      {access_json(key_json(1) + "," + key_json(1)), Errc::invalid},
      {access_json(many), Errc::too_large},
      {access_json("[[[[[]]]]]"), Errc::too_large},
      {access_json("", std::string(kAccessBytesMax, ' ')), Errc::too_large},
  };
  for (const auto& [text, code] : kHostile) {
    const auto access = parse_access(text);
    ASSERT_FALSE(access) << text;
    EXPECT_EQ(access.error().code, code) << text.substr(0, 200) << "\n" << access.error().text();
  }
}

class MeshChain : public ::testing::Test {
 protected:
  test::TestCa ca{"cluster CA"};
  const std::string id = fabric::mesh_spiffe(kCluster, kNode);
  const SystemTime now = RealClock().now();

  std::string chain(const test::TestCa& of, const std::string& uri,
                    test::CertificateWish wish = {}) {
    wish.subject_alt_name = "URI:" + uri;
    return of.issue(wish).certificate_pem;
  }
  std::string leaf(const std::string& chain_pem) {
    const auto end = chain_pem.find("-----END CERTIFICATE-----\n");
    return chain_pem.substr(0, end) + "-----END CERTIFICATE-----\n";
  }
  Errc refused(const std::string& text) {
    const auto authority = authority_of_chain(text, id, now);
    EXPECT_FALSE(authority);
    return authority ? Errc::internal : authority.error().code;
  }
};

TEST_F(MeshChain, EndsInTheClustersAuthority) {
  const auto authority = authority_of_chain(chain(ca, id), id, now);
  ASSERT_TRUE(authority) << authority.error().text();
  EXPECT_EQ(net::parse_certificate_pem(*authority)->sha256,
            net::parse_certificate_pem(ca.pem())->sha256);
}

TEST_F(MeshChain, NothingElseIsOne) {
  const test::TestCa other("another CA");
  const std::string good = chain(ca, id);
  EXPECT_EQ(refused(""), Errc::malformed);
  EXPECT_EQ(refused("no PEM"), Errc::malformed);
  EXPECT_EQ(refused(good.substr(0, good.size() / 2)), Errc::malformed);
  EXPECT_EQ(refused(std::string(kChainBytesMax + 1, ' ')), Errc::too_large);
  std::string many = leaf(good);
  for (int i = 0; i < 8; ++i) many += ca.pem();
  EXPECT_EQ(refused(many), Errc::too_large);
  EXPECT_EQ(refused(leaf(good)), Errc::invalid) << "without the authority";
  EXPECT_EQ(refused(ca.pem()), Errc::invalid) << "without a certificate";
  EXPECT_EQ(refused(leaf(good) + leaf(good)), Errc::invalid) << "what is last is no authority";
  EXPECT_EQ(refused(chain(ca, id + "x")), Errc::mismatch);
  EXPECT_EQ(refused(chain(ca, fabric::entry_spiffe(kCluster))), Errc::mismatch);
  EXPECT_EQ(refused(leaf(good) + other.pem()), Errc::mismatch) << "not issued by it";
  test::CertificateWish old;
  old.from = std::chrono::seconds(-600);
  old.until = std::chrono::seconds(-300);
  EXPECT_EQ(refused(chain(ca, id, old)), Errc::expired);
}

TEST(MeshConfig, EndpointsAreHostAndPort) {
  EXPECT_TRUE(endpoints_of_config("")->empty());
  EXPECT_TRUE(endpoints_of_config("{}")->empty());
  const auto two = endpoints_of_config(R"({"endpoints":["10.0.0.1:7444","[2001:db8::1]:443"]})");
  ASSERT_TRUE(two);
  EXPECT_EQ(two->size(), 2u);
  EXPECT_TRUE(endpoints_of_config(R"({"public_endpoints":["mesh.example.org:443"]})")->empty());
  for (const char* hostile :
       {"[]", R"({"endpoints":"10.0.0.1:1"})", R"({"endpoints":[1]})", R"({"endpoints":["x"]})",
        R"({"endpoints":["10.0.0.1:70000"]})", R"({"endpoints":["2001:db8::1:443"]})",
        R"({"endpoints":["a:1","a:1","a:1","a:1","a:1","a:1","a:1","a:1","a:1"]})", "x"}) {
    EXPECT_FALSE(endpoints_of_config(hostile)) << hostile;
  }
}

}  // namespace
}  // namespace rap::mesh
