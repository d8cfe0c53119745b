// What the host has for the mesh: several adapters in one process, identities, delivered streams,
// reports, dials. A plugin of the test uses all of it in a real rap-worker with the real sandbox.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>

#include "base/json.hpp"
#include "host/loader/sealed_memfd.hpp"
#include "tests/integration/worker/worker_harness.hpp"

namespace rap::test {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr const char* kFirst = "test.mesh";
constexpr const char* kOther = "test.mesh-other";

LoadOptions mesh_options() {
  LoadOptions out;
  out.adapter = kFirst;
  out.roles = {"core-mesh"};
  out.needs = {"rap.host.loop/1", "rap.host.identity/1", "rap.host.mesh/1", "rap.host.snapshot/1"};
  out.wants = {};
  out.grants = out.needs;
  out.provides = {"rap.adapter.accept/1", "rap.adapter.mesh/1"};
  out.profile = "net.client";
  out.share = 1;
  out.fork_safe = false;
  out.mode = "workload";
  out.dt_needed = {"libstdc++.so.6", "libgcc_s.so.1", "libc.so.6"};
  loader::AdapterFacts other;
  other.id = kOther;
  other.roles = {"relay-node"};
  other.needs = {"rap.host.loop/1"};
  other.wants = {"rap.host.identity/1", "rap.host.snapshot/1"};
  other.provides = {"rap.adapter.accept/1"};
  other.profile = "net.client";
  other.share = 1;
  out.more = {other};
  return out;
}

class Mesh : public testing::Test {
 protected:
  Mesh() : worker_(RAP_TEST_OUT_DIR "/mesh-probe.so", sandbox::Network::client) {}

  void SetUp() override {
    ASSERT_TRUE(worker_.hello());
    auto loaded = worker_.load(mesh_options());
    ASSERT_TRUE(loaded) << loaded.error().text() << worker_.log_text();
  }

  Result<ipc::Message> call(const json::object& body, const Fd& fd = Fd()) {
    const int fds[] = {fd.get()};
    return worker_.agent().call(body, std::span(fds, fd ? 1 : 0), kPatience);
  }
  Result<ipc::Message> add(json::object config = {}) {
    const json::object body = {{"op", "adapter.add"},
                               {"adapter", kOther},
                               {"grants", {"rap.host.loop/1", "rap.host.snapshot/1"}},
                               {"config", std::move(config)}};
    return call(body);
  }
  Result<ipc::Message> remove(const char* adapter, int drain_ms) {
    const json::object body = {
        {"op", "adapter.remove"}, {"adapter", adapter}, {"drain_ms", drain_ms}};
    return call(body);
  }
  // Our end of a connection that the adapter was given.
  Fd offer(const char* adapter, const char* service) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return {};
    Fd mine(ends[0]);
    const Fd theirs(ends[1]);
    const timeval limit{kPatience.count(), 0};
    setsockopt(mine.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const json::object body = {
        {"op", "accept"}, {"adapter", adapter}, {"service", service}, {"peer", "nod_1"}};
    auto taken = call(body, theirs);
    EXPECT_TRUE(taken) << taken.error().text();
    return mine;
  }
  static std::string read_all(const Fd& fd) {
    std::string out;
    char bytes[4096];
    ssize_t n = 0;
    while ((n = recv(fd.get(), bytes, sizeof bytes, 0)) > 0) {
      out.append(bytes, static_cast<std::size_t>(n));
    }
    return out;
  }
  std::string said(const char* adapter = kFirst) { return read_all(offer(adapter, "say")); }
  bool says(const std::string& words, const char* adapter = kFirst) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < end) {
      if (said(adapter).find(words) != std::string::npos) return true;
      std::this_thread::sleep_for(10ms);
    }
    ADD_FAILURE() << words << " is not in: " << said(adapter);
    return false;
  }
  Result<ipc::Message> seal_and_send(json::object body, const std::string& bytes) {
    auto sealed = loader::seal_bytes(as_bytes(bytes), "test");
    if (!sealed) return fail(sealed.error());
    return call(body, sealed->fd);
  }
  json::object status() { return json::object(*call({{"op", "status"}})->body); }
  std::optional<ipc::Message> next(const std::string& op) {
    while (true) {
      auto message = worker_.agent().next_message(kPatience);
      if (!message) return std::nullopt;
      if (message->op == op) return *std::move(message);
    }
  }

  TestWorker worker_;
};

TEST_F(Mesh, AnAdapterComesAndGoesAndTheOtherOneGoesOn) {
  const Fd held = offer(kFirst, "hold");
  auto added = add();
  ASSERT_TRUE(added) << added.error().text();
  EXPECT_EQ(added->body->at("adapters").as_array().size(), 2u);
  EXPECT_EQ(add().error().code, Errc::conflict);
  EXPECT_TRUE(says("other", kOther));
  EXPECT_EQ(said(kFirst).find("other"), std::string::npos);

  const Fd others = offer(kOther, "hold");
  ASSERT_TRUE(remove(kOther, 60'000));
  const json::object accept = {
      {"op", "accept"}, {"adapter", kOther}, {"service", "say"}, {"peer", ""}};
  EXPECT_EQ(call(accept, Fd(dup(0))).error().code, Errc::unavailable);
  EXPECT_EQ(add().error().code, Errc::conflict) << "it has not drained yet";
  const json::object draining = status();
  EXPECT_TRUE(draining.at("adapters").at(1).at("draining").as_bool());
  EXPECT_FALSE(draining.at("adapters").at(0).at("draining").as_bool());
  EXPECT_FALSE(draining.at("draining").as_bool());
  shutdown(others.get(), SHUT_RDWR);
  const auto ended = next("adapter_ended");
  ASSERT_TRUE(ended);
  EXPECT_EQ(*json_string(*ended->body, "adapter"), kOther);
  EXPECT_EQ(remove(kOther, 0).error().code, Errc::not_found);
  EXPECT_EQ(status().at("adapters").as_array().size(), 1u);
  EXPECT_EQ(status().at("accepted").to_number<int>(), 4) << "those of the one that ended count";

  // Again; what the first life left on the loop (it aborts when it runs) is gone.
  ASSERT_TRUE(add());
  EXPECT_TRUE(says("other", kOther));
  EXPECT_EQ(send(held.get(), "x", 1, MSG_NOSIGNAL), 1);
  EXPECT_TRUE(says("", kFirst));
  ASSERT_TRUE(remove(kOther, 0));
  EXPECT_EQ(worker_.wait_exit(200), -1);
  ASSERT_TRUE(remove(kFirst, 0)) << "the one that load named is as any";
  EXPECT_EQ(worker_.wait_exit(), 0) << "with the last adapter the workload ends";
}

TEST_F(Mesh, AnAdapterThatMayNotComeChangesNothing) {
  EXPECT_EQ(add({{"txt", "x"}}).error().code, Errc::invalid);
  const json::object unknown = {{"op", "adapter.add"}, {"adapter", "x"}, {"grants", json::array{}}};
  EXPECT_EQ(call(unknown).error().code, Errc::not_found);
  const json::object without = {
      {"op", "adapter.add"}, {"adapter", kOther}, {"grants", json::array{}}};
  EXPECT_EQ(call(without).error().code, Errc::forbidden);
  const json::object listless = {{"op", "adapter.add"}, {"adapter", kOther}};
  EXPECT_FALSE(call(listless));
  EXPECT_EQ(status().at("adapters").as_array().size(), 1u);
  EXPECT_TRUE(add());
  const json::object drain = {{"op", "stop"}, {"drain_ms", 1000}};
  const Fd held = offer(kOther, "hold");
  ASSERT_TRUE(call(drain));
  EXPECT_EQ(add().error().code, Errc::unavailable);
  EXPECT_EQ(worker_.wait_exit(), 0) << "both were drained to their deadline";
}

TEST_F(Mesh, DocumentsAreForAllAdaptersAlsoForLaterOnes) {
  const json::object snapshot = {{"op", "snapshot"}, {"name", "mesh"}};
  ASSERT_TRUE(seal_and_send(snapshot, R"({"format":1})"));
  EXPECT_TRUE(says("mesh {\"format\":1}\n"));
  ASSERT_TRUE(add());
  EXPECT_TRUE(says("{\"format\":1}", kOther));
  // What came of it: the last of two reports, the others refused.
  const auto report = next("mesh_report");
  ASSERT_TRUE(report);
  EXPECT_EQ(json::serialize(report->body->at("report")), R"({"seq":2,"links":[]})");
  EXPECT_TRUE(says("array -1\nlarge -1\n"));
}

TEST_F(Mesh, IdentitiesAreShownRenewedAndWithdrawn) {
  const json::object mesh = {{"op", "identity"}, {"kind", "mesh"}, {"chain_bytes", 5}};
  ASSERT_TRUE(seal_and_send(mesh, "chainkey"));
  EXPECT_TRUE(says("identity 1   [chain][key]\n"));
  json::object service = {{"op", "identity"},
                          {"kind", "service"},
                          {"organization", "org_1"},
                          {"service", "svc_1"},
                          {"chain_bytes", 3}};
  ASSERT_TRUE(seal_and_send(service, "onekey"));
  EXPECT_TRUE(says("identity 3 org_1 svc_1 [one][key]\n"));
  ASSERT_TRUE(seal_and_send(service, "twokey"));
  EXPECT_TRUE(says("identity 3 org_1 svc_1 [two][key]\n"));
  service["chain_bytes"] = 0;
  ASSERT_TRUE(call(service));
  EXPECT_TRUE(says("identity 3 org_1 svc_1 [][]\n"));
  // Nobody watches this one, and the other adapter has no grant: nothing is shown, nothing breaks.
  const json::object entry = {{"op", "identity"}, {"kind", "entry"}, {"chain_bytes", 1}};
  ASSERT_TRUE(seal_and_send(entry, "ck"));
  EXPECT_EQ(said().find("identity 2"), std::string::npos);
}

TEST_F(Mesh, IdentitiesThatAreNoneAreRefused) {
  const auto refused = [&](const json::object& members, const std::string& bytes) {
    json::object body = {{"op", "identity"}};
    for (const auto& [key, value] : members) body[key] = value;
    return seal_and_send(body, bytes).error().code == Errc::invalid;
  };
  EXPECT_TRUE(refused({{"kind", "node"}, {"chain_bytes", 1}}, "ck"));
  EXPECT_TRUE(refused({{"kind", "mesh"}}, "ck")) << "no chain";
  EXPECT_TRUE(refused({{"kind", "mesh"}, {"chain_bytes", 2}}, "ck")) << "no key";
  EXPECT_TRUE(refused({{"kind", "mesh"}, {"chain_bytes", -1}}, "ck"));
  EXPECT_TRUE(refused({{"kind", "mesh"}, {"organization", "org_1"}, {"chain_bytes", 1}}, "ck"));
  EXPECT_TRUE(refused({{"kind", "service"}, {"service", "svc_1"}, {"chain_bytes", 1}}, "ck"));
  EXPECT_TRUE(refused({{"kind", "service"}, {"organization", "org_1"}, {"chain_bytes", 1}}, "ck"));
  const json::object mesh = {{"op", "identity"}, {"kind", "mesh"}, {"chain_bytes", 1}};
  EXPECT_FALSE(seal_and_send(mesh, std::string(64 * 1024 + 1, 'x'))) << "too large";
  EXPECT_FALSE(call(mesh, Fd(dup(0)))) << "not sealed memory";
  EXPECT_EQ(said().find("identity"), std::string::npos);
}

TEST_F(Mesh, AVerifiedStreamIsHandedToTheAgentWhichDecides) {
  const Fd person = offer(kFirst, "deliver");
  auto asked = next("stream");
  ASSERT_TRUE(asked);
  ASSERT_EQ(asked->fds.size(), 1u);
  EXPECT_EQ(json::serialize(asked->body->at("claims")), R"({"sid":"ses_1","org":"org_1"})");
  EXPECT_EQ(*json_string(*asked->body, "from"), "192.0.2.7");
  ASSERT_EQ(send(asked->fds[0].get(), "hello", 5, MSG_NOSIGNAL), 5);
  char bytes[8] = {};
  EXPECT_EQ(recv(person.get(), bytes, sizeof bytes, 0), 5) << "it is the same stream";
  ASSERT_TRUE(worker_.agent().answer(*asked->id, {}));
  EXPECT_TRUE(says("bad claims -1\ntaken 0  \n"));

  const Fd another = offer(kFirst, "deliver");
  asked = next("stream");
  ASSERT_TRUE(asked);
  asked->fds.clear();
  ASSERT_TRUE(worker_.agent().refuse(*asked->id, {Errc::forbidden, "not here"}));
  EXPECT_TRUE(says("taken -5 forbidden not here\n"));
  EXPECT_EQ(recv(another.get(), bytes, sizeof bytes, 0), 0) << "closed";
}

TEST_F(Mesh, DropsAreToldToWhomeverAsked) {
  const json::object session = {{"op", "mesh.drop"}, {"session", "ses_1"}};
  const json::object organization = {{"op", "mesh.drop"}, {"organization", "org_1"}};
  ASSERT_TRUE(call(session));
  ASSERT_TRUE(call(organization));
  EXPECT_TRUE(says("drop ses_1/\ndrop /org_1\n"));
  EXPECT_EQ(call({{"op", "mesh.drop"}}).error().code, Errc::invalid);
}

TEST_F(Mesh, DialsAndOpensForTheAgent) {
  const Fd host(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(bind(host.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(listen(host.get(), 1), 0);
  ASSERT_EQ(getsockname(host.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  json::object dial = {{"op", "dial"},
                       {"host", "127.0.0.1"},
                       {"port", ntohs(at.sin_port)},
                       {"timeout_ms", kPatienceMs},
                       {"organization", "org_1"}};
  auto dialled = call(dial);
  ASSERT_TRUE(dialled) << dialled.error().text();
  ASSERT_EQ(dialled->fds.size(), 1u);
  const Fd accepted(accept(host.get(), nullptr, nullptr));
  ASSERT_EQ(send(dialled->fds[0].get(), "hi", 2, MSG_NOSIGNAL), 2);
  char bytes[32] = {};
  EXPECT_EQ(recv(accepted.get(), bytes, sizeof bytes, 0), 2);

  dial["organization"] = "org_full";
  EXPECT_EQ(call(dial).error().code, Errc::exhausted);
  dial["port"] = 70'000;
  EXPECT_EQ(call(dial).error().code, Errc::invalid);
  dial["port"] = 1;
  dial["organization"] = "";
  const auto none = call(dial);
  EXPECT_EQ(none.error().code, Errc::unavailable);
  EXPECT_EQ(none.error().detail, "nobody there");

  json::object open = {
      {"op", "mesh.open"}, {"target", "svc_1"}, {"class", "bulk"}, {"organization", "org_1"}};
  auto opened = call(open);
  ASSERT_TRUE(opened) << opened.error().text();
  EXPECT_EQ(read_all(opened->fds.at(0)), "svc_1 2 org_1");
  open["class"] = "fast";
  EXPECT_EQ(call(open).error().code, Errc::invalid);
  open["adapter"] = kOther;
  EXPECT_EQ(call(open).error().code, Errc::not_found);
  ASSERT_TRUE(add());
  EXPECT_EQ(call(open).error().code, Errc::unsupported) << "it is no adapter of the mesh";
}

TEST_F(Mesh, WhatIsUnderWayIsGivenUpWithTheAdapter) {
  ASSERT_TRUE(add());  // so that the process goes on
  const json::object open = {{"op", "mesh.open"}, {"target", "never"}, {"class", "interactive"}};
  EXPECT_EQ(worker_.agent().call(open, {}, 300ms).error().code, Errc::timeout);
  ASSERT_TRUE(remove(kFirst, 0));
  ASSERT_TRUE(next("adapter_ended"));
  EXPECT_TRUE(says("other", kOther));
}

}  // namespace
}  // namespace rap::test
