// What a node runs by the snapshots that are applied, and how those are kept.
#include <gtest/gtest.h>

#include "base/crypto.hpp"
#include "base/id.hpp"
#include "host/agent/supervise/workloads.hpp"
#include "tests/unit/agent/temp_dir.hpp"

namespace rap::agent {
namespace {

namespace fs = std::filesystem;

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

Release release_for(const std::string& role, std::vector<std::string> needs) {
  Release out;
  out.artifact_sha256 = std::string(64, 'a');
  loader::AdapterFacts adapter;
  adapter.id = "rap.x";
  adapter.roles = {role};
  adapter.needs = std::move(needs);
  adapter.profile = "net.none";
  out.manifest.adapters.push_back(adapter);
  return out;
}

TEST(Plan, ARoleWithoutReleaseIsSaidToBeSo) {
  Applied set = applied();
  set.roles.push_back({"rol_1", "ssh-worker", "", "", "", "{}"});
  set.roles.push_back({"rol_2", "ssh-worker", "org_1", "p", "1", "{}"});
  set.roles.push_back({"rol_3", "ssh-worker", "org_1", "q", "1", "{}"});
  set.releases.emplace(ReleaseKey{"q", "1"}, fail(Errc::mismatch, "they disagree"));
  const auto plan = plan_roles(set);
  ASSERT_EQ(plan.size(), 3u);
  for (const PlannedRole& role : plan) EXPECT_FALSE(role.spec);
  EXPECT_EQ(plan[2].spec.error().detail, "they disagree");
}

TEST(Plan, TheVersionInForceServesWhileTheAssignedOneIsRefused) {
  Applied set = applied();
  Release old = release_for("ssh-worker", {});
  old.manifest.version = "1";
  set.releases.emplace(ReleaseKey{"p", "1"}, old);
  set.releases.emplace(ReleaseKey{"p", "2"}, fail(Errc::mismatch, "another hash"));
  set.roles.push_back({"rol_1", "ssh-worker", "org_1", "p", "2", "{}"});
  set.roles.push_back({"rol_2", "ssh-worker", "org_1", "p", "2", "{}"});
  set.instead["rol_1"] = "1";
  auto plan = plan_roles(set);
  ASSERT_TRUE(plan[0].spec);
  EXPECT_EQ(plan[0].spec->release.manifest.version, "1");
  EXPECT_EQ(plan[0].refused, "runs 1; 2 was refused: another hash");
  EXPECT_FALSE(plan[1].spec) << "it had no other version in force";
  set.instead.clear();
  set.releases.insert_or_assign(ReleaseKey{"p", "2"}, release_for("ssh-worker", {}));
  plan = plan_roles(set);
  ASSERT_TRUE(plan[0].spec);
  EXPECT_EQ(plan[0].refused, "");
}

TEST(Plan, OneZygoteForEachOrganization) {
  Applied set = applied();
  Resource other = set.access.resources["res_1"];
  other.resource_id = "res_2";
  other.organization_id = "org_2";
  set.access.resources["res_2"] = other;
  set.releases.emplace(ReleaseKey{"p", "1"}, release_for("ssh-worker", {"rap.host.stream/1"}));
  set.roles.push_back({"rol_1", "ssh-worker", "", "p", "1", "{}"});
  set.roles.push_back({"rol_2", "ssh-worker", "org_2", "p", "1", "{}"});
  const auto plan = plan_roles(set);
  ASSERT_TRUE(plan[0].spec);
  EXPECT_EQ(plan[0].organizations, (std::vector<std::string>{"org_1", "org_2"}));
  EXPECT_EQ(plan[1].organizations, (std::vector<std::string>{"org_2"}));
  ZygoteSpec one = *plan[0].spec;
  one.organization = "org_1";
  ZygoteSpec two = one;
  EXPECT_EQ(instance_name(one), instance_name(two));
  two.organization = "org_2";
  EXPECT_NE(instance_name(one), instance_name(two));
  two = one;
  two.config_json = "{\"a\":1}";
  EXPECT_NE(instance_name(one), instance_name(two)) << "another configuration, another process";
}

TEST(Plan, APluginForAnotherRoleOrWithOtherNeedsIsRefused) {
  Applied set = applied();
  set.releases.emplace(ReleaseKey{"p", "1"}, release_for("rdp-worker", {}));
  set.releases.emplace(ReleaseKey{"q", "1"}, release_for("ssh-worker", {"rap.host.gpu/1"}));
  set.roles.push_back({"rol_1", "ssh-worker", "org_1", "p", "1", "{}"});
  set.roles.push_back({"rol_2", "ssh-worker", "org_1", "q", "1", "{}"});
  const auto plan = plan_roles(set);
  EXPECT_EQ(plan[0].spec.error().code, Errc::mismatch);
  EXPECT_EQ(plan[1].spec.error().code, Errc::unsupported);
}

TEST(Plan, OnlyTheRolesOfTheMeshGetANetwork) {
  loader::AdapterFacts adapter;
  adapter.id = "rap.x";
  adapter.profile = "net.client";
  for (const char* role : {"core-mesh", "relay-node", "entry-node"}) {
    EXPECT_TRUE(profile_for(adapter, role)) << role;
  }
  EXPECT_EQ(
      profile_for(adapter, "ssh-worker").error().detail,
      "rap.x asks for the sandbox profile net.client, which the role ssh-worker does not get");
  adapter.provides = {"rap.adapter.session/1"};
  EXPECT_EQ(profile_for(adapter, "core-mesh").error().code, Errc::forbidden);
  adapter.profile = "net.tun";
  EXPECT_EQ(profile_for(adapter, "core-mesh").error().code, Errc::unsupported);

  adapter.profile = "net.client";
  adapter.provides = {};
  adapter.needs = {"rap.host.identity/1", "rap.host.mesh/1"};
  EXPECT_TRUE(grants_for(adapter));
  adapter.profile = "net.none";
  EXPECT_FALSE(grants_for(adapter)) << "the node's keys are the mesh's";

  Applied set = applied();
  Release release = release_for("vpn-exit", {});
  release.manifest.adapters[0].profile = "net.client";
  set.releases.emplace(ReleaseKey{"p", "1"}, release);
  set.roles.push_back({"rol_1", "vpn-exit", "org_1", "p", "1", "{}"});
  EXPECT_EQ(plan_roles(set)[0].spec.error().code, Errc::forbidden);
}

TEST(Plan, CertificatesOfTheMeshAreForWhatTheRolesNeed) {
  Applied set = applied();
  set.releases.emplace(ReleaseKey{"p", "1"}, release_for("ssh-worker", {}));
  set.roles.push_back({"rol_1", "ssh-worker", "", "p", "1", "{}"});
  EXPECT_TRUE(mesh_uses(plan_roles(set)).empty()) << "no mesh plugin";
  Release mesh = release_for("entry-node", {"rap.host.identity/1"});
  mesh.manifest.adapters[0].profile = "net.client";
  set.releases.emplace(ReleaseKey{"m", "1"}, mesh);
  set.roles.push_back({"rol_2", "entry-node", "", "m", "1", "{}"});
  EXPECT_TRUE(mesh_uses(plan_roles(set)).empty()) << "an entry alone does not run";
  mesh.manifest.adapters.push_back(mesh.manifest.adapters[0]);
  mesh.manifest.adapters[1].roles = {"core-mesh"};
  set.releases.at({"m", "1"}) = mesh;
  set.roles.push_back({"rol_3", "core-mesh", "", "m", "1", "{}"});
  EXPECT_EQ(mesh_uses(plan_roles(set)), (std::set<MeshUse>{{MeshPurpose::mesh, ""},
                                                           {MeshPurpose::entry, ""},
                                                           {MeshPurpose::service, "org_1"}}));
}

TEST(Plan, TheRolesOfTheMeshAreOneProcess) {
  Applied set = applied();
  Release mesh = release_for("core-mesh", {});
  mesh.manifest.adapters[0].profile = "net.client";
  mesh.manifest.adapters.push_back(mesh.manifest.adapters[0]);
  mesh.manifest.adapters[1].id = "rap.y";
  mesh.manifest.adapters[1].roles = {"relay-node"};
  Release other = mesh;
  other.artifact_sha256 = std::string(64, 'b');
  mesh.manifest.product = "m";
  mesh.manifest.version = "1";
  set.releases.emplace(ReleaseKey{"m", "1"}, mesh);
  set.releases.emplace(ReleaseKey{"m", "2"}, other);
  set.releases.emplace(ReleaseKey{"m", "3"}, fail(Errc::mismatch, "they disagree"));
  set.roles.push_back({"rol_1", "relay-node", "", "m", "1", "{}"});
  auto plan = plan_roles(set);
  EXPECT_EQ(plan[0].unmet, "needs the role core-mesh on this node");
  EXPECT_FALSE(plan[0].starts());

  set.roles.push_back({"rol_2", "core-mesh", "", "m", "3", "{}"});
  EXPECT_EQ(plan_roles(set)[0].unmet, "needs core-mesh, which cannot run: they disagree");

  set.roles[1].version = "1";
  plan = plan_roles(set);
  EXPECT_EQ(plan[0].unmet, "");
  EXPECT_EQ(plan[0].joins, "rol_2");
  EXPECT_FALSE(plan[0].starts());
  EXPECT_TRUE(plan[1].starts());
  EXPECT_EQ(plan[1].joins, "");

  set.roles[0].version = "2";
  EXPECT_EQ(plan_roles(set)[0].unmet,
            "needs core-mesh of the same release, which is m 1 on this node");
  set.roles[0].version = "1";
  set.roles.push_back({"rol_3", "core-mesh", "org_1", "m", "1", "{}"});
  EXPECT_EQ(plan_roles(set)[2].joins, "rol_2") << "a node has one";
}

TEST(Applied, KeepsThePeerDirectoryBesideTheSet) {
  const TempDir dir;
  const StateLayout state{dir.path()};
  const NodeScope scope{ClusterId::fresh().str(), NodeId::fresh().str(), 0};
  Applied set = applied();
  set.membership_text = R"({"format":1,"cluster_id":")" + scope.cluster_id + R"(","node_id":")" +
                        scope.node_id +
                        R"(","node_name":"n","status":"active","authority_term":1,)"
                        R"("cluster_ca_pem":"CA","issued_at":"2026-11-21T19:37:37Z"})";
  set.roles_text = R"({"format":1,"assignments":[]})";
  set.access_text = R"({"format":1,"lease_keys":[],"resources":[]})";
  const auto keep = [&](const std::string& directory) {
    set.directory = std::make_shared<const std::string>(directory);
    set.directory_sha256 = to_hex(sha256(directory));
    return write_applied(state, set);
  };
  ASSERT_TRUE(write_applied(state, set));
  ASSERT_TRUE(read_applied(state, scope)) << read_applied(state, scope).error().text();
  EXPECT_EQ(read_applied(state, scope)->directory, nullptr);
  ASSERT_TRUE(keep("one"));
  EXPECT_EQ(*read_applied(state, scope)->directory, "one");
  ASSERT_TRUE(keep("two"));
  EXPECT_EQ(*read_applied(state, scope)->directory, "two");
  EXPECT_FALSE(fs::exists(state.directories() / to_hex(sha256("one")))) << "nobody needs it";
  // Damaged, and of the same size: none; the set is good without it.
  std::ofstream(state.directories() / set.directory_sha256) << "TWO";
  auto damaged = read_applied(state, scope);
  ASSERT_TRUE(damaged);
  EXPECT_EQ(damaged->directory, nullptr);
  EXPECT_EQ(damaged->directory_sha256, "");
  ASSERT_TRUE(keep("two"));
  EXPECT_NE(read_applied(state, scope)->directory, nullptr) << "fetched and kept again";
  fs::remove_all(state.directories());
  EXPECT_EQ(read_applied(state, scope)->directory, nullptr);
  // What names the file is no path.
  set.directory_sha256 = "../applied.json";
  EXPECT_FALSE(parse_applied(serialize(set), scope));
}

TEST(Applied, AnotherNodesSetIsRefused) {
  EXPECT_FALSE(parse_applied("", {}));
  EXPECT_FALSE(parse_applied("{}", {}));
  EXPECT_FALSE(parse_applied(R"({"membership":"{}","roles":"{}","access":"{}"})", {}));
}

}  // namespace
}  // namespace rap::agent
