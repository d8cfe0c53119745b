// mesh.so in real workers: four nodes on the loopback, of which the relays alone can be dialled, so
// that every stream passes entry, relay and service in three processes.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/json.hpp"
#include "base/net/net_error.hpp"
#include "tests/integration/mesh/mesh_cluster.hpp"
#include "tests/support/run_task.hpp"

namespace rap::test {
namespace {

namespace json = boost::json;

class MeshWorkers : public ::testing::Test {
 protected:
  MeshCluster cluster;

  // Entry 1, relays 2 and 3, the service on 4.
  void start_four() {
    cluster.add({"entry"});
    cluster.add({"relay"});
    cluster.add({"relay"});
    cluster.add({});
    cluster.tell_all();
    ASSERT_TRUE(cluster.wait_for([&] { return cluster.linked(); }))
        << cluster.at(4).worker().log_text();
  }
  // Entry and relay on 1, the service on 2.
  void start_two() {
    cluster.add({"entry", "relay"});
    cluster.add({});
    cluster.tell_all();
    ASSERT_TRUE(cluster.wait_for([&] { return cluster.linked(); }));
  }
  std::string note(unsigned number, const char* role) {
    const json::object health = cluster.at(number).health(role);
    return health.empty() ? "" : std::string(health.at("note").as_string());
  }
  unsigned wait_for_relay() {
    unsigned used = 0;
    EXPECT_TRUE(cluster.wait_for([&] { return (used = cluster.relay_in_use()) != 0; }));
    return used;
  }
};

TEST_F(MeshWorkers, AStreamPassesThreeProcessesAndSurvivesTheDeathOfItsRelay) {
  start_four();
  auto stream = cluster.open();
  ASSERT_TRUE(stream);
  EXPECT_TRUE(cluster.echoes(*stream, 1 << 20));
  const auto delivered = cluster.at(4).delivered();
  ASSERT_EQ(delivered.size(), 1u);
  EXPECT_EQ(delivered[0], fabric::lease_claims_to_json([&] {
              auto claims = cluster.world.session_claims();
              claims.lease_id = *json_string(delivered[0], "jti");
              claims.issued_at = *json_int(delivered[0], "iat");
              claims.expires_at = *json_int(delivered[0], "exp");
              return claims;
            }()));
  EXPECT_TRUE(cluster.wait_for([&] {
    return cluster.metric(1, "mesh_streams_entered") == 1 &&
           cluster.metric(1, "mesh_carried") > 0 && cluster.metric(4, "mesh_streams_here") == 1 &&
           cluster.metric(4, "mesh_peers") == 2;
  })) << json::serialize(cluster.at(4).status());
  const unsigned used = wait_for_relay();
  ASSERT_NE(used, 0u);
  cluster.at(used).kill();
  EXPECT_TRUE(cluster.echoes(*stream, 1 << 20));
  EXPECT_EQ(cluster.at(4).delivered().size(), 1u) << "it is the same stream";
  // Whoever was linked with it says so.
  EXPECT_TRUE(cluster.wait_for([&] {
    const auto report = cluster.at(4).last_report();
    return report.at("attached").as_array().size() == 1 && *json_int(report, "seq") > 1;
  }));
}

TEST_F(MeshWorkers, RolesComeAndGoWhileStreamsGoOn) {
  start_four();
  auto stream = cluster.open();
  ASSERT_TRUE(stream);
  EXPECT_TRUE(cluster.echoes(*stream, 64 << 10));
  const unsigned first = wait_for_relay();
  ASSERT_NE(first, 0u);
  ASSERT_TRUE(cluster.at(first).remove("relay", 0));
  EXPECT_TRUE(cluster.echoes(*stream, 64 << 10)) << "over the other one";
  EXPECT_TRUE(cluster.wait_for([&] { return cluster.at(first).ended().size() == 1; }));
  const unsigned second = wait_for_relay();
  EXPECT_NE(second, first);
  ASSERT_TRUE(cluster.at(first).add("relay"));
  ASSERT_TRUE(cluster.at(second).remove("relay", 0));
  EXPECT_TRUE(cluster.echoes(*stream, 64 << 10)) << "and back";
  EXPECT_EQ(cluster.at(first).worker().wait_exit(0), -1) << "the process is the same";

  // Without the role nobody new comes in; who is there stays until the deadline.
  ASSERT_TRUE(cluster.at(1).remove("entry", 600'000));
  EXPECT_TRUE(cluster.echoes(*stream, 64 << 10));
  auto options = cluster.session();
  options.timeout = net::milliseconds(2'000);
  EXPECT_FALSE(
      run_task(cluster.world.io, fabric::open_mesh_session(std::move(options), cluster.world.clock,
                                                           cluster.world.resume_clock)));
  EXPECT_TRUE(cluster.at(1).ended().empty()) << "a stream is open";
  stream->close();
  stream.reset();
  EXPECT_TRUE(cluster.wait_for([&] { return cluster.at(1).ended().size() == 1; }));
  ASSERT_TRUE(cluster.at(1).add("entry"));
  net::ByteStreamPtr again;
  EXPECT_TRUE(cluster.wait_for([&] {
    auto opened =
        run_task(cluster.world.io, fabric::open_mesh_session(cluster.session(), cluster.world.clock,
                                                             cluster.world.resume_clock));
    if (opened) again = std::move(*opened);
    return again != nullptr;
  })) << "the identity is asked for again";
}

TEST_F(MeshWorkers, ADropAndARefusalReachThePerson) {
  start_two();
  auto stream = cluster.open();
  ASSERT_TRUE(stream);
  EXPECT_TRUE(cluster.echoes(*stream, 16 << 10));
  const std::string session = cluster.world.session_claims().session_id;
  ASSERT_TRUE(cluster.at(2).call({{"op", "mesh.drop"}, {"session", session}}));
  EXPECT_TRUE(cluster.wait_for([&] {
    try {
      return !cluster.echoes(*stream, 16 << 10);
    } catch (const net::NetError&) {
      return true;
    }
  }));

  cluster.at(2).refuse_streams({Errc::forbidden, "not on this day"});
  auto refused =
      run_task(cluster.world.io, fabric::open_mesh_session(cluster.session(), cluster.world.clock,
                                                           cluster.world.resume_clock));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::forbidden);
  EXPECT_NE(refused.error().detail.find("not on this day"), std::string::npos);

  // A service whose certificate was withdrawn is none.
  ASSERT_TRUE(cluster.at(2).call({{"op", "identity"},
                                  {"kind", "service"},
                                  {"organization", cluster.world.organization},
                                  {"service", cluster.world.service}}));
  auto options = cluster.session();
  options.timeout = net::milliseconds(2'000);
  EXPECT_FALSE(
      run_task(cluster.world.io, fabric::open_mesh_session(std::move(options), cluster.world.clock,
                                                           cluster.world.resume_clock)));
  EXPECT_EQ(cluster.at(2).delivered().size(), 2u);
}

TEST_F(MeshWorkers, AStopWaitsForWhatPassesTheNode) {
  start_two();
  auto stream = cluster.open();
  ASSERT_TRUE(stream);
  ASSERT_TRUE(cluster.at(1).call({{"op", "stop"}, {"drain_ms", 600'000}}));
  // Figures of the time after it began; without them it would have ended.
  EXPECT_TRUE(cluster.wait_for([&] {
    const json::object entry = cluster.at(1).health("entry");
    const json::object core = cluster.at(1).health("core");
    return !core.empty() && core.at("streams") == 1 && entry.at("streams") == 1;
  }));
  EXPECT_TRUE(cluster.echoes(*stream, 64 << 10));
  EXPECT_TRUE(cluster.at(1).ended().size() < 2) << "the relay has nothing to wait for";
  stream->close();
  stream.reset();
  EXPECT_TRUE(cluster.wait_for([&] { return cluster.at(1).worker().wait_exit(0) == 0; }));
}

TEST_F(MeshWorkers, GarbageAtThePortDoesNotHurt) {
  start_two();
  auto stream = cluster.open();
  ASSERT_TRUE(stream);
  std::vector<Fd> half_open;
  for (int i = 0; i < 300; ++i) {
    Fd stranger = cluster.at(1).connect();
    ASSERT_TRUE(stranger);
    const Bytes bytes = random_bytes(64);
    if (i % 3 != 0) (void)!send(stranger.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (i % 3 != 1) half_open.push_back(std::move(stranger));  // silent, or after its garbage
  }
  EXPECT_TRUE(cluster.echoes(*stream, 256 << 10));
  EXPECT_TRUE(cluster.wait_for([&] { return cluster.metric(1, "mesh_refused") >= 200; }));
  half_open.clear();
  const auto another = cluster.open();
  EXPECT_TRUE(another) << "and there is room for more";
}

TEST_F(MeshWorkers, DialsAndOpensForItsAgent) {
  start_two();
  const Fd host(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(bind(host.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(listen(host.get(), 4), 0);
  ASSERT_EQ(getsockname(host.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  json::object dial{{"op", "dial"},
                    {"host", "127.0.0.1"},
                    {"port", ntohs(at.sin_port)},
                    {"timeout_ms", 20'000},
                    {"organization", "org_1"}};
  for (const char* name : {"127.0.0.1", "localhost"}) {
    dial["host"] = name;
    const auto dialled = cluster.at(2).call(dial);
    ASSERT_TRUE(dialled) << name << " " << dialled.error().text();
    ASSERT_EQ(dialled->fds.size(), 1u);
    const Fd accepted(accept(host.get(), nullptr, nullptr));
    ASSERT_EQ(send(dialled->fds[0].get(), "hi", 2, MSG_NOSIGNAL), 2);
    char bytes[4] = {};
    EXPECT_EQ(recv(accepted.get(), bytes, sizeof bytes, 0), 2);
  }
  dial["port"] = 1;
  EXPECT_EQ(cluster.at(2).call(dial).error().code, Errc::unavailable);

  const json::object open{{"op", "mesh.open"},
                          {"target", test::node_id(1)},
                          {"class", "interactive"},
                          {"timeout_ms", 20'000}};
  const auto opened = cluster.at(2).call(open);
  ASSERT_TRUE(opened) << opened.error().text();
  auto stream =
      net::wrap_socket(cluster.world.io.get_executor(), Fd(::dup(opened->fds.at(0).get())));
  EXPECT_TRUE(cluster.echoes(*stream, 64 << 10)) << "the echo of the other node";
  json::object itself = open;
  itself["target"] = test::node_id(2);
  EXPECT_EQ(cluster.at(2).call(itself).error().code, Errc::invalid);
  itself["target"] = test::node_id(9);
  EXPECT_EQ(cluster.at(2).call(itself).error().code, Errc::unavailable) << "nowhere";
  itself["organization"] = cluster.world.organization;
  EXPECT_EQ(cluster.at(2).call(itself).error().code, Errc::unsupported);
}

TEST_F(MeshWorkers, WhatItCannotUseIsSaidAndChangesNothing) {
  cluster.add({"relay", "entry"});
  cluster.add({});
  MeshWorker& node = cluster.at(1);
  const auto says = [&](const char* role, const std::string& words) {
    return cluster.wait_for([&] { return note(1, role).find(words) != std::string::npos; }) ||
           (ADD_FAILURE() << words << " is not in: " << note(1, role), false);
  };
  EXPECT_TRUE(says("core", "waits for its certificate and directory"));
  EXPECT_TRUE(says("relay", "needs the role core-mesh")) << "there is no node yet";
  node.snapshot("access", R"({"format":1})");
  EXPECT_TRUE(says("core", "access: invalid"));
  node.snapshot("access", cluster.access_for(1));
  EXPECT_TRUE(says("entry", "waits for its certificate"));
  node.snapshot("mesh", R"({"format":1})");
  EXPECT_TRUE(says("core", "peer directory: invalid"));
  node.snapshot("mesh", cluster.directory_for(2));
  EXPECT_TRUE(says("core", "peer directory: mismatch"));
  cluster.tell_all();
  EXPECT_TRUE(cluster.wait_for([&] { return cluster.linked(); }));
  EXPECT_TRUE(says("core", "1 peers"));
  node.snapshot("access", cluster.access_for(2));
  EXPECT_TRUE(says("core", "access: mismatch"));
  node.identity({{"kind", "mesh"}}, cluster.world.service_identity());
  auto stream = cluster.open();
  ASSERT_TRUE(stream) << "what was before goes on";
  EXPECT_TRUE(cluster.echoes(*stream, 16 << 10));
}

TEST_F(MeshWorkers, ARestartedNodeFindsItsPeersAndSaysGoodbyeBefore) {
  start_two();
  ASSERT_TRUE(cluster.at(2).call({{"op", "stop"}, {"drain_ms", 30'000}}));
  EXPECT_EQ(cluster.at(2).worker().wait_exit(30'000), 0) << cluster.at(2).worker().log_text();
  EXPECT_TRUE(std::filesystem::exists(cluster.state_of(2) / "peers"));
  cluster.restart(2);
  EXPECT_NE(cluster.at(2).status().size(), 0u);
  cluster.tell(2);
  EXPECT_TRUE(cluster.wait_for([&] { return cluster.linked(); }));
  auto stream = cluster.open();
  ASSERT_TRUE(stream);
  EXPECT_TRUE(cluster.echoes(*stream, 16 << 10));
}

}  // namespace
}  // namespace rap::test
