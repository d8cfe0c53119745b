// What one organization may take of a node that it shares: sessions, and connections that are
// being made.
#include <arpa/inet.h>
#include <netinet/in.h>

#include <boost/asio/detached.hpp>

#include "base/net/tcp.hpp"
#include "tests/integration/agent/supervision_rig.hpp"
#include "tests/support/test_ca.hpp"

namespace rap::agent {
namespace {

TEST_F(Supervision, OneOrganizationLeavesPlacesForAnother) {
  config_.sessions_max = 3;
  auto shared = std::make_shared<Applied>(*applied_);
  Resource other = shared->access.resources.at(resource_);
  other.resource_id = ResourceId::fresh().str();
  other.organization_id = OrganizationId::fresh().str();
  RoleAssignment role = shared->roles.at(0);
  role.assignment_id = RoleAssignmentId::fresh().str();
  role.organization_id = other.organization_id;
  shared->access.resources[other.resource_id] = other;
  shared->roles.push_back(role);
  applied_ = shared;
  Life life(config_, 1);
  begin(life);
  const auto ready = [&] {
    for (const auto& one : life.workloads.report()) {
      if (one.state != WorkloadState::running) return false;
    }
    return true;
  };
  ASSERT_TRUE(life.until(ready)) << life.workloads.report().at(0).detail;

  const Fd first = open_session(life, SessionId::fresh().str(), "open");
  const Fd second = open_session(life, SessionId::fresh().str(), "open");
  const auto try_open = [&](const std::string& organization, const std::string& resource) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    auto claims = std::make_shared<const boost::json::object>(
        boost::json::object{{"sid", SessionId::fresh().str()},
                            {"org", organization},
                            {"res", resource},
                            {"sub", "usr_1"},
                            {"name", "ada"},
                            {"mode", "control"},
                            {"verb", "open"}});
    const auto before = life.context.counters;
    life.broker->on_stream(1, claims, "192.0.2.7", Fd(ends[1]));
    EXPECT_TRUE(life.until([&] {
      return life.context.counters.attachments > before.attachments ||
             life.context.counters.streams_refused > before.streams_refused;
    }));
    ::close(ends[0]);
    return life.context.counters.attachments > before.attachments;
  };
  const auto kept = life.context.counters.events_kept;
  EXPECT_FALSE(try_open(organization_, resource_));  // two of three is its half
  // It has failed, and not because nobody came.
  EXPECT_GT(life.context.counters.events_kept, kept);
  const std::string told = read_text_file(outbox_file(), 1 << 20).value();
  EXPECT_NE(told.find(R"("state":"failed","detail":"this organization has 2 sessions)"),
            std::string::npos)
      << told;
  EXPECT_TRUE(try_open(other.organization_id, other.resource_id));
  EXPECT_FALSE(try_open(other.organization_id, other.resource_id));  // three of three

  net::asio::co_spawn(life.io, life.broker->stop_all(), net::asio::detached);
  EXPECT_TRUE(life.until([&] { return life.broker->size() == 0; }));
  stop_everything(life);
}

// A server whose queue is full: whoever connects gets no answer.
struct SilentTarget {
  SilentTarget() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* at = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listening.get(), at, size), 0);
    EXPECT_EQ(::listen(listening.get(), 0), 0);
    EXPECT_EQ(::getsockname(listening.get(), at, &size), 0);
    port = ntohs(address.sin_port);
    for (Fd& one : queued) {
      one.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      (void)::connect(one.get(), at, size);
    }
  }
  Fd listening{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::array<Fd, 4> queued;
  std::uint16_t port = 0;
};

TEST_F(Supervision, TheListenerCountsConnectionsByOrganization) {
  config_.listener_path = bin("rap-mesh-listener");
  config_.mesh_listen = "127.0.0.1:0";
  Life life(config_, 1);
  const test::TestCa ca;
  ListenerSettings settings;
  settings.cluster_id = ClusterId::fresh().str();
  settings.node_id = NodeId::fresh().str();
  settings.cluster_ca_pem = ca.pem();
  settings.identity = ca.issue(
      {.subject_alt_name = "URI:spiffe://" + settings.cluster_id + "/node/" + settings.node_id});
  life.listener->configure(std::move(settings));
  life.listener->start();
  ASSERT_TRUE(life.until([&] { return life.listener->state() == WorkloadState::running; }))
      << life.listener->detail();

  SilentTarget silent;
  int ended = 0;
  for (int i = 0; i < 16; ++i) {  // the listener's own share
    net::asio::co_spawn(life.io,
                        life.listener->dial("org_1", "127.0.0.1", silent.port, test::kPatience),
                        [&](std::exception_ptr, const Result<Fd>&) { ++ended; });
  }
  life.until([] { return false; }, 300ms);
  ASSERT_EQ(ended, 0);
  auto more = life.wait(life.listener->dial("org_1", "127.0.0.1", silent.port, test::kPatience));
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::exhausted);
  // Another organization, to the same host: were it counted by name, it would be refused too.
  auto target = std::move(*net::Listener::bind(life.io.get_executor(), {"127.0.0.1", 0}));
  auto theirs = life.wait(
      life.listener->dial("org_2", "127.0.0.1", target->local_address().port, test::kPatience));
  EXPECT_TRUE(theirs) << theirs.error().text();
  // From now on its kernel refuses: the next try of each connection ends it.
  silent.listening.reset();
  for (Fd& one : silent.queued) one.reset();
  EXPECT_TRUE(life.until([&] { return ended == 16; }));
  net::asio::co_spawn(life.io, life.listener->stop(), net::asio::detached);
  EXPECT_TRUE(life.until([&] { return life.listener->state() == WorkloadState::stopped; }));
}

}  // namespace
}  // namespace rap::agent
