// Every service of the host, asked for by a plugin and answered by an agent.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <fstream>
#include <iostream>

#include "base/json.hpp"
#include "tests/integration/worker/worker_harness.hpp"

namespace rap::test {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

LoadOptions probe_options(bool fork_safe) {
  LoadOptions out;
  out.adapter = fork_safe ? "test.probe" : "test.probe-exec";
  out.fork_safe = fork_safe;
  out.roles = {"probe-worker"};
  out.needs = {"rap.host.session/1", "rap.host.loop/1", "rap.host.stream/1", "rap.host.secret/1",
               "rap.host.config/1"};
  out.wants = {"rap.host.metrics/1", "rap.host.state-dir/1"};
  out.grants = out.needs;
  out.grants.insert(out.grants.end(), {"rap.host.metrics/1", "rap.host.state-dir/1",
                                       "rap.host.health/1", "rap.host.log/1"});
  out.config = {{"a", {7}}, {"text", "x"}};
  return out;
}

// The next request of the process with that op.
std::optional<ipc::Message> request(ipc::BlockingClient& from, const std::string& op) {
  while (true) {
    auto message = from.next_message(kPatience);
    if (!message) return std::nullopt;
    if (message->op == op && message->id) return *std::move(message);
  }
}

struct Target {
  Fd socket;
  std::string read_some() {
    char buffer[4096];
    const ssize_t n = recv(socket.get(), buffer, sizeof buffer, 0);
    return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : std::string();
  }
};

// Plays the agent until the session is there.
Target bring_up(TestWorker& worker, TestSession& session) {
  auto opened = worker.open(session, "res_a", "sec_a");
  if (!opened) throw std::runtime_error(opened.error().text());
  auto secret = request(*session.agent, "secret.resolve");
  if (!secret) throw std::runtime_error("no secret.resolve");
  EXPECT_EQ(*json_string(*secret->body, "ref"), "sec_a");
  EXPECT_EQ(*json_string(*secret->body, "session"), session.id);
  json::object value = {{"value", to_base64(as_bytes("hunter2"))}};
  (void)session.agent->answer(*secret->id, value).has_value();
  auto stream = request(*session.agent, "stream.open");
  if (!stream) throw std::runtime_error("no stream.open");
  EXPECT_EQ(*json_string(*stream->body, "target"), "res_a");
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) abort();
  Target out{Fd(ends[0])};
  const Fd given(ends[1]);
  const int fds[] = {given.get()};
  (void)session.agent->answer(*stream->id, {}, fds).has_value();
  EXPECT_TRUE(TestWorker::wait_state(session, "detached"));
  return out;
}

class Probe : public testing::TestWithParam<bool> {
 protected:
  std::string file() const {
    return std::string(RAP_TEST_OUT_DIR) + (GetParam() ? "/probe.so" : "/probe-exec.so");
  }
};

TEST_P(Probe, GetsSecretStreamConfigAndMetrics) {
  TestWorker worker(file());
  ASSERT_TRUE(worker.hello());
  auto loaded = worker.load(probe_options(GetParam()));
  ASSERT_TRUE(loaded) << loaded.error().text();
  auto session = worker.fork_session();
  ASSERT_TRUE(session) << session.error().text() << worker.log_text();
  EXPECT_EQ(session->in_place, !GetParam());
  Target target = bring_up(worker, *session);
  EXPECT_EQ(target.read_some(), "hunter2\n");
  auto client = worker.join(*session, "control", "Ada");
  ASSERT_TRUE(client);
  client->send_input("to the target");
  EXPECT_EQ(target.read_some(), "to the target");
  ASSERT_EQ(send(target.socket.get(), "from the target", 15, 0), 15);
  EXPECT_TRUE(client->wait_output("from the target"));
  json::object status = {{"op", "status"}};
  auto told = session->agent->call(status, {}, kPatience);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->body->at("metrics").at(0).at("value").to_number<double>(), 2);
  for (const json::value& layer : told->body->at("layers").as_array()) {
    if (layer.at("name") == "seccomp") {
      EXPECT_EQ(layer.at("detail"), "stage two");
    }
  }
  target.socket.reset();
  auto closed = client->next<frames::Closed>();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->reason, "remote_lost");
  EXPECT_EQ(closed->detail, "the target closed");
  if (GetParam()) {
    auto exited = TestWorker::event(worker.agent(), "exited");
    ASSERT_TRUE(exited);
    EXPECT_EQ(*json_int(*exited, "exit_code"), 1);
  } else {
    EXPECT_EQ(worker.wait_exit(), 1 << 8);
  }
}

TEST_P(Probe, FailsWithTheAgentsReason) {
  TestWorker worker(file());
  ASSERT_TRUE(worker.hello());
  ASSERT_TRUE(worker.load(probe_options(GetParam())));
  auto session = worker.fork_session();
  ASSERT_TRUE(session);
  ASSERT_TRUE(worker.open(*session, "res_a", "sec_a"));
  auto client = worker.join(*session, "control", "Ada");
  ASSERT_TRUE(client);
  auto secret = request(*session->agent, "secret.resolve");
  ASSERT_TRUE(secret);
  (void)session->agent->refuse(*secret->id, {Errc::forbidden, "not for this session"}).has_value();
  auto closed = client->next<frames::Closed>();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->reason, "failed");
  EXPECT_EQ(closed->detail, "secret");
}

INSTANTIATE_TEST_SUITE_P(ForkedAndInPlace, Probe, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Forked" : "InPlace"; });

TEST(ProbeFlow, AnAgentThatDiesWhileAskedIsAskedAgain) {
  TestWorker worker(std::string(RAP_TEST_OUT_DIR) + "/probe.so");
  ASSERT_TRUE(worker.hello());
  ASSERT_TRUE(worker.load(probe_options(true)));
  auto session = worker.fork_session();
  ASSERT_TRUE(session);
  ASSERT_TRUE(worker.open(*session, "res_a", "sec_a"));
  ASSERT_TRUE(request(*session->agent, "secret.resolve"));
  session->agent = TestWorker::connect_session(*session);  // the old one is gone
  ASSERT_TRUE(session->agent->hello(session->nonce, 2, kPatience));
  EXPECT_TRUE(request(*session->agent, "secret.resolve"));
}

// Private_Dirty of a process outside, in KB.
long private_kb(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/smaps_rollup");
  long sum = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("Private_Dirty:", 0) == 0) sum += std::stol(line.substr(14));
  }
  return sum;
}

TEST(ProbeFlow, CarriesALotAndStaysSmall) {
  TestWorker worker(std::string(RAP_TEST_OUT_DIR) + "/probe.so");
  ASSERT_TRUE(worker.hello());
  ASSERT_TRUE(worker.load(probe_options(true)));
  auto session = worker.fork_session();
  ASSERT_TRUE(session);
  Target target = bring_up(worker, *session);
  const auto pids = worker.inner_pids();
  ASSERT_EQ(pids.size(), 2u);
  const long before = private_kb(pids[1]);
  auto client = worker.join(*session, "control", "Ada");
  ASSERT_TRUE(client);
  constexpr std::size_t kBytes = std::size_t{256} << 20;
  const auto began = std::chrono::steady_clock::now();
  client->send_input("flood " + std::to_string(kBytes));
  EXPECT_GE(client->drain(kBytes), kBytes);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::cout << "hub: " << static_cast<long>(256 / took.count()) << " MB/s, session private "
            << before << " KB before, " << private_kb(pids[1]) << " KB after; zygote "
            << private_kb(pids[0]) << " KB, anchor " << private_kb(worker.pid()) << " KB\n";
  EXPECT_LT(private_kb(pids[1]), 16'000);
}

}  // namespace
}  // namespace rap::test
