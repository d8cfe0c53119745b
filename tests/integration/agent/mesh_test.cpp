// Workloads of the mesh: what they are handed, several roles in one process, what they ask for.
#include <fcntl.h>
#include <sys/wait.h>

#include "host/agent/supervise/workload_port.hpp"
#include "tests/integration/agent/workload_rig.hpp"

namespace rap::agent {
namespace {

class MeshProbe : public EchoService {
 protected:
  MeshProbe() : EchoService(RAP_TEST_OUT_DIR "/mesh-probe.so", "core-mesh") {}
  void SetUp() override {
    Supervision::SetUp();
    config_.services.push_back({"core-mesh", "say", "127.0.0.1:0"});
  }
  // As after an answer of the control plane.
  static MeshHandPtr identities(const std::string& certificate, bool with_service) {
    std::string text =
        R"({"keys":[{"purpose":"mesh","key_pem":"K1","certificate_pem":")" + certificate + "\"}";
    if (with_service) {
      text += R"(,{"purpose":"service","organization":"org_1","service":"svc_1","key_pem":"K2",)"
              R"("certificate_pem":"C2"})";
    }
    return std::make_shared<const MeshHand>(MeshHand{MeshKeys::parse(text + "]}").value(), "CA"});
  }
  static bool hears(Life& life, const std::string& words, std::chrono::milliseconds limit = 30s) {
    return life.until(
        [&] { return said(connect_to_service(address_of(life))).find(words) != std::string::npos; },
        limit);
  }
  static std::string said(const Fd& fd) {
    std::string out, more;
    while (!(more = say(fd, "")).empty()) out += more;
    return out;
  }
};

TEST_F(MeshProbe, KnowsTheDirectoryAndWhoSignsLeases) {
  const std::string keys = R"("lease_keys":[{"kid":"k1","public":"00ff"}]})";
  auto applied = std::make_shared<Applied>(*applied_);
  applied->membership.cluster_id = "cls_1";
  applied->membership.node_id = "nod_1";
  applied->access.lease_keys = {{"k1", "00ff"}};
  applied->directory = std::make_shared<const std::string>(R"({"version":1})");
  applied_ = applied;
  Life life(config_, 1);
  begin(life);
  ASSERT_TRUE(running(life)) << detail_of(life);
  EXPECT_TRUE(hears(life, "mesh {\"version\":1}\n"));
  EXPECT_TRUE(hears(life, R"(access {"format":1,"cluster_id":"cls_1","node_id":"nod_1",)" + keys));
  EXPECT_FALSE(hears(life, "resources", 0s));

  auto next = std::make_shared<Applied>(*applied);
  // A directory of the largest size that there may be.
  next->directory = std::make_shared<const std::string>(
      R"({"version":2,"x":")" + std::string((16u << 20) - 18 - 2, 'x') + "\"}");
  ASSERT_EQ(next->directory->size(), 16u << 20);
  life.workloads.apply(next);
  EXPECT_TRUE(hears(life, "mesh {\"version\":2"));

  // Not active: no lease is taken, and what runs comes to its end.
  const Fd held = connect_to_service(address_of(life));
  auto disabled = std::make_shared<Applied>(*next);
  disabled->membership.status = NodeStatus::disabled;
  EXPECT_EQ(access_document(*disabled),
            R"({"format":1,"cluster_id":"cls_1","node_id":"nod_1","lease_keys":[]})");
  life.workloads.apply(disabled);
  EXPECT_TRUE(life.until([&] { return life.workloads.all().empty(); }, 30s));
}

TEST_F(MeshProbe, HasTheNetworkAndIsHandedTheNodesIdentities) {
  Life life(config_, 1);
  begin(life);
  ASSERT_TRUE(running(life)) << detail_of(life);
  EXPECT_EQ(mesh_uses(life.workloads.plan()), (std::set<MeshUse>{{MeshPurpose::mesh, ""}}));
  bool network = false;
  for (const SandboxLayer& layer : life.workloads.sandbox_layers()) {
    network = network || (layer.name == "network" && layer.state == "active");
  }
  EXPECT_TRUE(network);
  life.workloads.set_identities(identities("C1", true));
  EXPECT_TRUE(hears(life, "identity 1   [C1CA][K1]\n"));
  EXPECT_TRUE(hears(life, "identity 3 org_1 svc_1 [C2CA][K2]\n"));
  life.workloads.set_identities(identities("C1b", false));
  EXPECT_TRUE(hears(life, "identity 1   [C1bCA][K1]\n"));
  EXPECT_TRUE(hears(life, "identity 3 org_1  [][]\n")) << "withdrawn";
  // Another process of the same workload has them from its start.
  const int pid = life.workloads.report().at(0).pid;
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  ASSERT_TRUE(life.until([&] {
    return state_of(life) == WorkloadState::running && life.workloads.report().at(0).pid != pid;
  }));
  EXPECT_TRUE(hears(life, "identity 1   [C1bCA][K1]\n"));
  stop_everything(life);
}

TEST_F(MeshProbe, AnIdentityThatWentWithItsAgentIsWithdrawnByTheNext) {
  {
    Life first(config_, 1);
    begin(first);
    ASSERT_TRUE(running(first)) << detail_of(first);
    first.workloads.set_identities(identities("C1", true));
    ASSERT_TRUE(hears(first, "identity 3 org_1 svc_1 [C2CA][K2]\n"));
  }
  Life second(config_, 2);
  std::vector<std::string> damaged;
  for (const InstanceRecord& record : second.context.records.read_all(damaged)) {
    second.workloads.adopt(record, applied_.get());
  }
  begin(second);
  // What is on disk, and what is wanted of it.
  second.workloads.set_identities(identities("C1", true));
  second.workloads.set_identities(identities("C1", false));
  ASSERT_TRUE(running(second)) << detail_of(second);
  EXPECT_TRUE(hears(second, "identity 3 org_1  [][]\n"));
  stop_everything(second);
}

TEST_F(MeshProbe, WhatItSaysOfItsLinksIsHeardAndWhereItListens) {
  config_.services.push_back({"core-mesh", "mesh", "127.0.0.1:0"});
  config_.services.push_back({"core-mesh", "more", "0.0.0.0:0"});
  auto applied = std::make_shared<Applied>(*applied_);
  applied->directory = std::make_shared<const std::string>("{}");
  applied_ = applied;
  Life life(config_, 1);
  begin(life);
  ASSERT_TRUE(life.until([&] { return !life.reports.empty(); }, 30s)) << detail_of(life);
  EXPECT_EQ(boost::json::serialize(life.reports.back()), R"({"seq":2,"links":[]})");
  ASSERT_TRUE(running(life));
  ASSERT_EQ(life.workloads.mesh_endpoints().size(), 1u);
  EXPECT_TRUE(life.workloads.mesh_endpoints()[0].starts_with("127.0.0.1:"));
  stop_everything(life);
  EXPECT_TRUE(life.workloads.mesh_endpoints().empty());
}

TEST_F(MeshProbe, DialsForTheNode) {
  auto target = listen_tcp("127.0.0.1:0");
  ASSERT_TRUE(target);
  auto applied = std::make_shared<Applied>(*applied_);
  Resource& resource = applied->access.resources.at(resource_);
  resource.role = "ssh-worker";
  resource.port = static_cast<std::uint16_t>(std::stoi(target->address.substr(10)));
  applied_ = applied;
  Life life(config_, 1);
  life.applied = applied_;
  const auto dial = [&] {
    return life.wait(
        SessionBroker::open_for_workload(*life.broker, "ssh-worker", organization_, resource_, 5s));
  };
  // Without a mesh that runs it is the listener's, which is not there.
  EXPECT_EQ(dial().error().detail, "the listener is not running");
  begin(life);
  ASSERT_TRUE(running(life)) << detail_of(life);
  const auto socket = dial();
  ASSERT_TRUE(socket) << socket.error().text();
  ::fcntl(target->fd.get(), F_SETFL, 0);
  const Fd accepted(::accept(target->fd.get(), nullptr, nullptr));
  ASSERT_EQ(::send(socket->get(), "hi", 2, MSG_NOSIGNAL), 2);
  char bytes[8] = {};
  EXPECT_EQ(::recv(accepted.get(), bytes, sizeof bytes, 0), 2);
  target->fd.reset();
  const auto none = dial();
  EXPECT_EQ(none.error().code, Errc::unavailable);
  EXPECT_EQ(none.error().detail, "nobody there");
  stop_everything(life);
}

// A node that is also the service of an organization: sessions of the plugin echo.
class MeshSessions : public MeshProbe {
 protected:
  void SetUp() override {
    MeshProbe::SetUp();
    config_.services.push_back({"core-mesh", "claims", "127.0.0.1:0"});
    auto applied = std::make_shared<Applied>(*applied_);
    applied->membership.cluster_id = cluster_;
    const std::string file = directory_of("RAP_TEST_PLUGIN_DIR", RAP_TEST_PLUGIN_DIR) + "/echo.so";
    ListedTarget listed;
    listed.product = "plugin.rap.echo";
    listed.version = "0.1.0";
    listed.release_seq = 1;
    listed.security_epoch = 0;
    auto release =
        release_from_manifest(output_of(bin("rap-plugin-check") + " manifest " + file +
                                        " --product plugin.rap.echo --version 0.1.0 --seq 1"),
                              listed);
    ASSERT_TRUE(release) << release.error().text();
    const ArtifactStore store(config_.state_dir / "store");
    ASSERT_TRUE(store.add(release->artifact_sha256, [&](const fs::path& to) -> Status {
      fs::copy_file(file, to);
      return {};
    }));
    applied->releases.emplace(ReleaseKey{"plugin.rap.echo", "0.1.0"}, *release);
    RoleAssignment role = applied->roles[0];
    role.assignment_id = RoleAssignmentId::fresh().str();
    role.role = "echo-worker";
    role.product = "plugin.rap.echo";
    applied->roles.push_back(role);
    applied->access.resources.at(resource_).role = "echo-worker";
    applied_ = applied;
  }
  void begin(Life& life) {
    MeshProbe::begin(life);
    life.identities = std::make_shared<const MeshHand>(MeshHand{
        MeshKeys::parse(R"({"keys":[{"purpose":"service","organization":")" + organization_ +
                        R"(","service":"svc_1","key_pem":"K",)" + R"("certificate_pem":"C"}]})")
            .value(),
        "CA"});
    ASSERT_TRUE(life.until([&] {
      for (const WorkloadReport& report : life.workloads.report()) {
        if (report.state != WorkloadState::running) return false;
      }
      return true;
    })) << detail_of(life);
  }
  boost::json::object claims() const {
    boost::json::object out = *claims_of(session_, "open", "usr_1");
    out["iss"] = cluster_;
    out["aud"] = "spiffe://" + cluster_ + "/service/svc_1";
    return out;
  }
  // What a client has that reached the service over the mesh with a lease that says so.
  static Fd arrive(Life& life, const boost::json::object& claims) {
    Fd fd;
    for (const auto& zygote : life.workloads.all()) {
      for (const ServiceReport& service : zygote->services()) {
        if (service.service == "claims") fd = connect_to_service(service.address);
      }
    }
    const std::string line = boost::json::serialize(claims) + "\n";
    EXPECT_EQ(::send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(line.size()));
    return fd;
  }
  const std::string cluster_ = ClusterId::fresh().str();
  const std::string session_ = SessionId::fresh().str();
};

TEST_F(MeshSessions, AStreamOfTheMeshIsASessionAndEndsWithIt) {
  Life life(config_, 1);
  begin(life);
  const Fd stream = arrive(life, claims());
  EXPECT_TRUE(greets(life, stream));
  EXPECT_TRUE(hears(life, "taken 0  \n"));
  ASSERT_EQ(life.broker->report().size(), 1u);
  EXPECT_EQ(life.broker->report()[0].controller, "ada");
  EXPECT_TRUE(life.wait(closing(life, session_)));
  EXPECT_TRUE(life.until([&] { return life.broker->size() == 0; }, 30s));
  // Its streams, also those that wait for their next path, after they could hear its last words.
  EXPECT_TRUE(hears(life, "drop " + session_ + "/\n"));
  // Nothing of the organization is left here.
  auto without = std::make_shared<Applied>(*applied_);
  without->access.resources.clear();
  life.workloads.apply(without);
  EXPECT_TRUE(hears(life, "drop /" + organization_ + "\n"));
  net::asio::co_spawn(life.io, life.workloads.stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(life.until([&] { return fs::is_empty(config_.run_dir / "instances"); }, 30s));
}

TEST_F(MeshSessions, ALeaseForAnotherServiceOrOrganizationIsRefused) {
  Life life(config_, 1);
  begin(life);
  const auto refused = [&](const char* claim, const std::string& value) {
    boost::json::object bad = claims();
    bad[claim] = value;
    const auto before = life.context.counters.streams_refused;
    const Fd fd = arrive(life, bad);
    EXPECT_TRUE(life.until([&] { return life.context.counters.streams_refused > before; }, 30s));
    char byte = 0;
    EXPECT_TRUE(life.until([&] { return ::recv(fd.get(), &byte, 1, MSG_DONTWAIT) == 0; }, 30s));
  };
  refused("aud", "spiffe://" + cluster_ + "/service/svc_2");
  refused("aud", "spiffe://" + cluster_ + "/node/nod_1");
  refused("iss", ClusterId::fresh().str());
  refused("org", OrganizationId::fresh().str());
  refused("mode", "root");
  EXPECT_TRUE(hears(life, "taken -5 forbidden the lease is for another service\n"));
  EXPECT_TRUE(hears(life, "forbidden this node is no service of that organization\n"));
  EXPECT_EQ(life.broker->size(), 0u);
  life.identities = nullptr;
  refused("name", "bob");
  EXPECT_TRUE(hears(life, "no service yet\n"));
  net::asio::co_spawn(life.io, life.workloads.stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(life.until([&] { return fs::is_empty(config_.run_dir / "instances"); }, 30s));
}

// The same with relay-node, which another adapter of the library fills.
class MeshRoles : public MeshProbe {
 protected:
  AppliedPtr with_relay(const std::string& config = "{}") const {
    auto out = std::make_shared<Applied>(*applied_);
    RoleAssignment relay = applied_->roles[0];
    relay.assignment_id = relay_;
    relay.role = "relay-node";
    relay.config_json = config;
    out->roles.push_back(relay);
    return out;
  }
  void use(Life& life, AppliedPtr applied) {
    applied_ = std::move(applied);
    begin(life);
  }
  static WorkloadReport row(Life& life, const std::string& role) {
    for (const WorkloadReport& report : life.workloads.report()) {
      if (report.role == role) return report;
    }
    return {};
  }
  static bool relay_is(Life& life, WorkloadState state) {
    return life.until([&] { return row(life, "relay-node").state == state; }, 30s);
  }
  // What the worker itself says, so that nobody's memory is asked.
  std::vector<std::string> adapters(Life& life) const {
    std::vector<std::string> out;
    const auto status = life.wait(life.workloads.all().at(0)->ask_status());
    EXPECT_TRUE(status) << status.error().text();
    if (!status) return out;
    for (const boost::json::value& item : status->body->at("adapters").as_array()) {
      out.emplace_back(item.at("adapter").as_string());
    }
    return out;
  }
  InstanceRecord record() const {
    std::vector<std::string> damaged;
    const auto all = InstanceRecords(RunLayout{config_.run_dir}.instances()).read_all(damaged);
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? InstanceRecord() : all.front();
  }
  const std::vector<std::string> both_{"test.mesh", "test.mesh-other"};
  const std::string relay_ = RoleAssignmentId::fresh().str();
};

TEST_F(MeshRoles, ComeAndGoInOneProcess) {
  const AppliedPtr alone = applied_;
  Life life(config_, 1);
  begin(life);
  ASSERT_TRUE(running(life)) << detail_of(life);
  const int pid = row(life, "core-mesh").pid;
  const Fd held = connect_to_service(address_of(life));

  use(life, with_relay());
  ASSERT_TRUE(relay_is(life, WorkloadState::running)) << row(life, "relay-node").detail;
  EXPECT_EQ(row(life, "relay-node").pid, pid);
  EXPECT_EQ(row(life, "relay-node").version, "0.1.0");
  EXPECT_EQ(row(life, "core-mesh").state, WorkloadState::running);
  EXPECT_EQ(adapters(life), both_);
  EXPECT_EQ(record().joined.at("test.mesh-other"), configuration_hash("{}"));

  // Another configuration: it comes again, and nobody else notices.
  applied_ = alone;
  use(life, with_relay(R"({"text":"x"})"));
  ASSERT_TRUE(life.until(
      [&] {
        return record().joined ==
               JoinedRecords{{"test.mesh-other", configuration_hash(R"({"text":"x"})")}};
      },
      30s));
  ASSERT_TRUE(relay_is(life, WorkloadState::running)) << row(life, "relay-node").detail;

  // One that does not fit is that role's trouble.
  applied_ = alone;
  use(life, with_relay(R"({"txt":"x"})"));
  ASSERT_TRUE(relay_is(life, WorkloadState::degraded));
  EXPECT_NE(row(life, "relay-node").detail.find("config: /txt"), std::string::npos)
      << row(life, "relay-node").detail;
  EXPECT_EQ(row(life, "core-mesh").state, WorkloadState::running);
  EXPECT_EQ(adapters(life), std::vector<std::string>{"test.mesh"});
  EXPECT_TRUE(record().joined.empty());

  use(life, alone);
  EXPECT_EQ(life.workloads.report().size(), 1u);
  EXPECT_EQ(row(life, "core-mesh").pid, pid);
  EXPECT_EQ(life.context.counters.process_starts, 1u);
  stop_everything(life);
}

TEST_F(MeshRoles, ARelayAloneDoesNotRun) {
  auto relay = std::make_shared<Applied>(*with_relay());
  relay->roles.erase(relay->roles.begin());
  Life life(config_, 1);
  use(life, relay);
  EXPECT_EQ(row(life, "relay-node").state, WorkloadState::degraded);
  EXPECT_EQ(row(life, "relay-node").detail, "needs the role core-mesh on this node");
  EXPECT_EQ(life.context.counters.process_starts, 0u);
  EXPECT_TRUE(mesh_uses(life.workloads.plan()).empty());
}

TEST_F(MeshRoles, AProcessThatDiedComesBackWithAllOfThem) {
  Life life(config_, 1);
  use(life, with_relay());
  ASSERT_TRUE(relay_is(life, WorkloadState::running)) << row(life, "relay-node").detail;
  const int pid = row(life, "relay-node").pid;
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  ASSERT_TRUE(life.until(
      [&] {
        const WorkloadReport now = row(life, "relay-node");
        return now.pid != pid && now.state == WorkloadState::running;
      },
      30s))
      << row(life, "relay-node").detail;
  EXPECT_EQ(adapters(life), both_);
  stop_everything(life);
}

// An agent that is killed at any moment leaves a process that the next one takes over, whatever of
// the adapters was there already.
TEST_F(MeshRoles, TheNextAgentTakesOverTheProcessWithItsAdapters) {
  const AppliedPtr alone = applied_;
  const AppliedPtr two = with_relay();
  for (const int ms : {0, 5, 20, 40, 60, 80, 100, 130, 160, 200, 300, 1'000}) {
    applied_ = two;
    const pid_t agent = ::fork();
    ASSERT_GE(agent, 0);
    if (agent == 0) {
      Life first(config_, 1);
      begin(first);
      first.until([] { return false; }, 60s);
      ::_exit(0);
    }
    ::usleep(static_cast<useconds_t>(ms) * 1'000);
    ASSERT_EQ(::kill(agent, SIGKILL), 0);
    ASSERT_EQ(::waitpid(agent, nullptr, 0), agent);

    Life second(config_, 2);
    std::vector<std::string> damaged;
    const auto records = second.context.records.read_all(damaged);
    EXPECT_TRUE(damaged.empty());
    for (const InstanceRecord& each : records) second.workloads.adopt(each, applied_.get());
    begin(second);
    ASSERT_TRUE(relay_is(second, WorkloadState::running)) << ms << row(second, "relay-node").detail;
    ASSERT_TRUE(running(second)) << detail_of(second);
    EXPECT_EQ(adapters(second), both_) << ms;
    EXPECT_EQ(second.workloads.all().size(), 1u);
    // Where there was a process it is the same one.
    const bool was_there = !records.empty() && second.context.counters.processes_adopted > 0;
    EXPECT_EQ(second.context.counters.process_starts, was_there ? 0u : 1u) << ms;
    EXPECT_EQ(record().joined.size(), 1u);
    stop_everything(second);
  }
}

// The record of an agent that knew one adapter for each process.
TEST_F(MeshRoles, AProcessOfAnAgentBeforeIsTakenOverAndGetsTheOthers) {
  int pid = 0;
  {
    Life first(config_, 1);
    begin(first);
    ASSERT_TRUE(running(first)) << detail_of(first);
    pid = row(first, "core-mesh").pid;
  }
  const fs::path file = RunLayout{config_.run_dir}.instances() / (record().name + ".json");
  auto text = boost::json::parse(read_text_file(file, 1 << 20).value()).as_object();
  ASSERT_EQ(text.erase("joined"), 1u);
  ASSERT_TRUE(write_file_atomic(file, boost::json::serialize(text), 0600));
  applied_ = with_relay();
  Life second(config_, 2);
  second.workloads.adopt(record(), applied_.get());
  begin(second);
  ASSERT_TRUE(relay_is(second, WorkloadState::running)) << row(second, "relay-node").detail;
  EXPECT_EQ(row(second, "relay-node").pid, pid);
  EXPECT_EQ(second.context.counters.process_starts, 0u);
  stop_everything(second);
}

}  // namespace
}  // namespace rap::agent
