#include "fabric/routing/directory.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tests/support/mesh_rig.hpp"

namespace rap::routing {
namespace {

using namespace rap::test;

DirectoryDoc full_doc() {
  DirectoryDoc doc = mesh({node(1, mask(Role::entry_node)), relay(2), relay(3, "us"),
                           hidden(4, {2, 3}), node(5, mask(Role::egress), "us")});
  doc.nodes[1].bootstrap = true;
  doc.nodes[1].load_permille.reset();
  doc.nodes[2].serves = {{org_id(1), org_id(2)}};
  doc.nodes[2].classes = mask(ChannelClass::bulk);
  doc.nodes[2].draining = true;
  doc.nodes[3].owner = org_id(1);
  doc.nodes[3].serves = {{org_id(1)}};
  doc.nodes[3].thin = true;
  doc.nodes[4].avoid = 12;
  doc.nodes[4].trust = Trust::low;
  doc.nodes[4].version = "0.2.0-rc1";
  doc.nodes[4].keys.push_back(sha256("next"));
  doc.services = {{"echo", {node_id(4), node_id(5)}, std::nullopt},
                  {"ssh-1", {node_id(4)}, {{org_id(1)}}}};
  doc.egress_pools = {{"office", {node_id(5)}, {{org_id(1), org_id(2)}}}};
  doc.authority = AuthorityState::degraded;
  doc.policy.relays_max = 3;
  doc.policy.region_distances = {{"eu", "us", 80}};
  doc.policy.organizations = {{org_id(1), {"eu"}, Trust::normal, 1, true}};
  doc.policy.bulk.load = 1234;
  doc.policy.decay.own_stale_ms = 777'777;
  doc.policy.hysteresis.hold_ms = 1;
  doc.policy.thin.high = 7;
  doc.policy.when_stale = Conduct::stop;
  return doc;
}

TEST(MeshDirectory, JsonAndCompactFormLoseNothing) {
  const DirectoryDoc doc = full_doc();
  const auto read = parse_directory(to_json(doc));
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(*read, doc);
  EXPECT_EQ(to_json(*read), to_json(doc));
  const auto compact = Directory::compile(*read);
  ASSERT_TRUE(compact) << compact.error().text();
  EXPECT_EQ(compact->doc(), doc);
}

TEST(MeshDirectory, AnEmptyPolicyIsTheDefault) {
  boost::json::object text = boost::json::parse(to_json(full_doc())).as_object();
  text["policy"] = boost::json::object{};
  const auto read = parse_directory(boost::json::serialize(text));
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->policy, Policy{});
}

TEST(MeshDirectory, AnswersWhatDecisionsAsk) {
  const Directory directory = compiled(full_doc());
  EXPECT_EQ(directory.self(), directory.find(node_id(1)));
  const NodeIndex nat = directory.find(node_id(4));
  EXPECT_FALSE(directory.dialable(nat));
  EXPECT_TRUE(directory.may_connect(directory.find(node_id(2)), nat));
  EXPECT_FALSE(directory.may_connect(directory.find(node_id(5)), nat));
  EXPECT_TRUE(directory.may_connect(nat, directory.find(node_id(5))));
  EXPECT_EQ(directory.find("nod_zz"), kNoNode);
  EXPECT_EQ(directory.find(""), kNoNode);
  const OrganizationIndex one = directory.find_organization(org_id(1));
  EXPECT_TRUE(directory.serves(nat, one));
  EXPECT_FALSE(directory.serves(nat, directory.find_organization(org_id(2))));
  EXPECT_FALSE(directory.serves(nat, directory.find_organization(org_id(9))));
  EXPECT_TRUE(directory.serves(directory.find(node_id(5)), directory.find_organization(org_id(9))));
  EXPECT_EQ(directory.distance(0, 1), 80);
  EXPECT_EQ(directory.distance(1, 1), 0);
  ASSERT_NE(directory.service("ssh-1"), nullptr);
  EXPECT_FALSE(directory.allows(*directory.service("ssh-1"), kUnknownOrganization));
  EXPECT_EQ(directory.service("office"), nullptr);
  EXPECT_NE(directory.egress_pool("office"), nullptr);
}

TEST(MeshDirectory, ListsRelaysByRegionTheLeastLoadedFirst) {
  DirectoryDoc doc = mesh({node(1, 0), relay(2), relay(3, "us"), relay(4), relay(5)});
  doc.nodes[1].load_permille = 900;
  doc.nodes[3].load_permille = 10;
  doc.nodes[4].load_permille.reset();
  const Directory directory = compiled(doc);
  const auto eu = directory.relays(*directory.find_region("eu"));
  ASSERT_EQ(eu.size(), 3u);
  EXPECT_EQ(directory.id(eu[0]), node_id(4));
  EXPECT_EQ(directory.id(eu[1]), node_id(2));
  EXPECT_EQ(directory.id(eu[2]), node_id(5));
  EXPECT_EQ(directory.relays().size(), 4u);
}

TEST(MeshDirectory, MembershipIsAboutWhoMayBeAPeer) {
  const DirectoryDoc doc = full_doc();
  const std::uint64_t membership = compiled(doc).membership();
  const auto with = [&](auto change) {
    DirectoryDoc other = doc;
    change(other);
    return compiled(other).membership();
  };
  EXPECT_EQ(with([](auto& d) {
              d.nodes[0].load_permille = 999;
              d.nodes[3].attached = {node_id(2)};
              d.version = 99;
            }),
            membership);
  EXPECT_NE(with([](auto& d) { d.nodes.push_back(relay(6)); }), membership);
  EXPECT_NE(with([](auto& d) { d.nodes[1].draining = true; }), membership);
  EXPECT_NE(with([](auto& d) { d.nodes[1].trust = Trust::low; }), membership);
  EXPECT_NE(with([](auto& d) { d.nodes[1].region = "us"; }), membership);
  EXPECT_NE(with([](auto& d) {
              d.nodes[1].endpoints.clear();
              d.nodes[1].bootstrap = false;
            }),
            membership);
  EXPECT_NE(with([](auto& d) { d.nodes[1].serves = {{org_id(2)}}; }), membership);
  // The very last character of the last id.
  DirectoryDoc last = doc;
  last.services.clear();
  last.egress_pools.clear();
  const std::uint64_t before = compiled(last).membership();
  last.nodes[4] = node(6, mask(Role::egress), "us");
  last.nodes[4].version = doc.nodes[4].version;
  last.nodes[4].trust = doc.nodes[4].trust;
  EXPECT_NE(compiled(last).membership(), before);
}

TEST(MeshDirectory, ChecksTheCertificateOfAPeer) {
  const Directory directory = compiled(full_doc());
  const auto mesh_of = [](unsigned number) { return mesh_spiffe(kCluster, node_id(number)); };
  EXPECT_EQ(directory.check_peer(mesh_of(2), sha256(node_id(2))).value(),
            directory.find(node_id(2)));
  EXPECT_TRUE(directory.check_peer(mesh_of(5), sha256("next")));
  const auto code = [&](const std::string& uri, const Sha256Digest& key) {
    return directory.check_peer(uri, key).error().code;
  };
  EXPECT_EQ(code(mesh_of(2), sha256(node_id(3))), Errc::mismatch);
  EXPECT_EQ(code(mesh_of(9), sha256(node_id(9))), Errc::not_found);
  EXPECT_EQ(code(mesh_spiffe(numbered("cls_", 1), node_id(2)), sha256(node_id(2))), Errc::mismatch);
  // The certificate for the control plane is not the one for other nodes, whatever its key.
  EXPECT_EQ(code("spiffe://" + kCluster + "/node/" + node_id(2), sha256(node_id(2))),
            Errc::mismatch);
  EXPECT_EQ(code("spiffe://" + kCluster + "/node/mesh", sha256("")), Errc::mismatch);
  EXPECT_EQ(code("spiffe://" + kCluster + "/node/", sha256("")), Errc::mismatch);
  EXPECT_EQ(code("", sha256("")), Errc::mismatch);
}

// One change of a good directory, and what it gets.
struct Bad {
  const char* what;
  void (*change)(boost::json::object& text);
  Errc code;
  const char* says;
};

boost::json::object& first_node(boost::json::object& text) {
  return text["nodes"].as_array()[0].as_object();
}

const Bad kBad[] = {
    {"another format", [](auto& t) { t["format"] = 2; }, Errc::unsupported, "format"},
    {"no format", [](auto& t) { t.erase("format"); }, Errc::invalid, "format"},
    {"unknown member", [](auto& t) { t["more"] = 1; }, Errc::invalid, "more: unknown"},
    {"unknown member of a node", [](auto& t) { first_node(t)["shell"] = "sh"; }, Errc::invalid,
     "nodes[0].shell: unknown"},
    {"cluster that is no id", [](auto& t) { t["cluster_id"] = "c"; }, Errc::invalid, "cluster_id"},
    {"version below zero", [](auto& t) { t["version"] = -1; }, Errc::invalid, "version"},
    {"version as text", [](auto& t) { t["version"] = "7"; }, Errc::invalid, "version"},
    {"version with a fraction", [](auto& t) { t["version"] = 7.5; }, Errc::invalid, "version"},
    {"authority unknown", [](auto& t) { t["authority"] = "fine"; }, Errc::invalid, "authority"},
    {"expired before issued", [](auto& t) { t["expires_at"] = "2020-01-01T00:00:00Z"; },
     Errc::invalid, "expires_at"},
    {"a date that is none", [](auto& t) { t["issued_at"] = "2026-02-30T00:00:00Z"; }, Errc::invalid,
     "issued_at"},
    {"nodes missing", [](auto& t) { t.erase("nodes"); }, Errc::invalid, "nodes"},
    {"a node that is text", [](auto& t) { t["nodes"].as_array()[0] = "n"; }, Errc::invalid,
     "nodes[0]"},
    {"node twice", [](auto& t) { t["nodes"].as_array().push_back(t["nodes"].as_array()[0]); },
     Errc::invalid, "twice"},
    {"own record missing", [](auto& t) { t["node_id"] = node_id(99); }, Errc::invalid,
     "own record"},
    {"identity of another node",
     [](auto& t) { first_node(t)["spiffe_id"] = mesh_spiffe(kCluster, node_id(2)); }, Errc::invalid,
     "spiffe_id"},
    {"identity of another cluster",
     [](auto& t) { first_node(t)["spiffe_id"] = mesh_spiffe(numbered("cls_", 5), node_id(1)); },
     Errc::invalid, "spiffe_id"},
    {"no key", [](auto& t) { first_node(t)["keys"] = boost::json::array{}; }, Errc::invalid,
     "keys"},
    {"three keys",
     [](auto& t) {
       const auto key = first_node(t)["keys"].as_array()[0];
       first_node(t)["keys"] = boost::json::array{key, key, key};
     },
     Errc::too_large, "keys"},
    {"key in capitals", [](auto& t) { first_node(t)["keys"] = {std::string(64, 'A')}; },
     Errc::invalid, "keys"},
    {"unknown role", [](auto& t) { first_node(t)["roles"] = {"root"}; }, Errc::invalid, "roles"},
    {"role twice",
     [](auto& t) {
       first_node(t)["roles"] = {"service", "service"};
     },
     Errc::invalid, "roles"},
    {"region with a blank", [](auto& t) { first_node(t)["region"] = "e u"; }, Errc::invalid,
     "region"},
    {"endpoint without a port", [](auto& t) { first_node(t)["endpoints"] = {"10.0.0.1"}; },
     Errc::invalid, "endpoints"},
    {"endpoint with port 0", [](auto& t) { first_node(t)["endpoints"] = {"10.0.0.1:0"}; },
     Errc::invalid, "endpoints"},
    {"endpoint with port 65536", [](auto& t) { first_node(t)["endpoints"] = {"a:65536"}; },
     Errc::invalid, "endpoints"},
    {"endpoint with a line break", [](auto& t) { first_node(t)["endpoints"] = {"a\nb:1"}; },
     Errc::invalid, "endpoints"},
    {"endpoint in half a bracket", [](auto& t) { first_node(t)["endpoints"] = {"[::1:443"}; },
     Errc::invalid, "endpoints"},
    {"attached to itself", [](auto& t) { first_node(t)["attached"] = {node_id(1)}; }, Errc::invalid,
     "attached"},
    {"attached to nobody", [](auto& t) { first_node(t)["attached"] = {node_id(77)}; },
     Errc::invalid, "attached"},
    {"attached twice",
     [](auto& t) {
       first_node(t)["attached"] = {node_id(2), node_id(2)};
     },
     Errc::invalid, "attached"},
    {"load over 1000", [](auto& t) { first_node(t)["load_permille"] = 1001; }, Errc::invalid,
     "load_permille"},
    {"customer's node that serves all", [](auto& t) { first_node(t)["owner"] = org_id(1); },
     Errc::invalid, "serves"},
    {"customer's node that serves two",
     [](auto& t) {
       first_node(t)["owner"] = org_id(1);
       first_node(t)["serves"] = {org_id(1), org_id(2)};
     },
     Errc::invalid, "serves"},
    {"service twice",
     [](auto& t) { t["services"].as_array().push_back(t["services"].as_array()[0]); },
     Errc::invalid, "twice"},
    {"service on a stranger",
     [](auto& t) { t["services"].as_array()[0].as_object()["members"] = {node_id(55)}; },
     Errc::invalid, "not a node here"},
    {"policy missing", [](auto& t) { t.erase("policy"); }, Errc::invalid, "policy"},
    {"unknown member of the policy", [](auto& t) { t["policy"].as_object()["x"] = 1; },
     Errc::invalid, "policy.x"},
    {"weight over the limit",
     [](auto& t) { t["policy"].as_object()["bulk"].as_object()["loss"] = 60'001; }, Errc::invalid,
     "policy.bulk.loss"},
    {"hop limit over the library's", [](auto& t) { t["policy"].as_object()["relays_max"] = 4; },
     Errc::invalid, "relays_max"},
    {"sizes in the wrong order",
     [](auto& t) {
       t["policy"].as_object()["peers"].as_object()["normal"].as_object()["high"] = 2;
     },
     Errc::invalid, "low <= rest <= high"},
    {"stale before fresh",
     [](auto& t) { t["policy"].as_object()["decay"].as_object()["own_stale_ms"] = 1; },
     Errc::invalid, "fresh before stale"},
    {"two rules for one organization",
     [](auto& t) {
       auto& rules = t["policy"].as_object()["organizations"].as_array();
       rules.push_back(rules[0]);
     },
     Errc::invalid, "two rules"},
};

TEST(HostileMeshDirectory, EveryRowIsRefusedWithItsReason) {
  const std::string good = to_json(full_doc());
  for (const Bad& bad : kBad) {
    boost::json::object text = boost::json::parse(good).as_object();
    bad.change(text);
    auto doc = parse_directory(boost::json::serialize(text));
    Error error;
    if (!doc) {
      error = doc.error();
    } else if (auto directory = Directory::compile(*doc); !directory) {
      error = directory.error();
    } else {
      ADD_FAILURE() << bad.what << ": accepted";
      continue;
    }
    EXPECT_EQ(error.code, bad.code) << bad.what << ": " << error.text();
    EXPECT_NE(error.detail.find(bad.says), std::string::npos) << bad.what << ": " << error.text();
  }
}

TEST(HostileMeshDirectory, TextsThatAreNoDirectory) {
  for (const char* text : {"", "{", "[]", "null", "{}", "{\"format\":1,\"format\":1}", "\xff"}) {
    EXPECT_FALSE(parse_directory(text)) << text;
  }
  EXPECT_EQ(parse_directory(std::string(kDirectoryBytesMax + 1, ' ')).error().code,
            Errc::too_large);
}

TEST(HostileMeshDirectory, LimitsHold) {
  DirectoryDoc doc = mesh({node(1, 0)});
  for (unsigned i = 2; i <= 1 + kRegionsMax; ++i) {
    doc.nodes.push_back(node(i, 0, "region-" + std::to_string(i)));
  }
  EXPECT_EQ(Directory::compile(doc).error().code, Errc::too_large);
  doc = mesh({node(1, 0)});
  doc.services.assign(kGroupsMax + 1, {});
  EXPECT_EQ(Directory::compile(doc).error().code, Errc::too_large);
}

}  // namespace
}  // namespace rap::routing
