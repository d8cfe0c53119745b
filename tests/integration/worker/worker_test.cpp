// rap-worker as the agent starts it: real processes, the real sandbox, real plugins.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <iostream>

#include "base/json.hpp"
#include "tests/integration/worker/worker_harness.hpp"

namespace rap::test {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

LoadOptions zoo_options(const std::string& name) {
  LoadOptions out;
  out.adapter = "zoo." + name;
  return out;
}

LoadOptions echo_options(const std::string& adapter = "rap.echo") {
  LoadOptions out;
  out.adapter = adapter;
  out.roles = {"echo-worker"};
  out.wants = {"rap.host.log/1"};
  return out;
}

// hello and load; the failure's text, or empty.
std::string load_zoo(TestWorker& worker, const std::string& name) {
  if (auto hello = worker.hello(); !hello) return hello.error().text();
  auto loaded = worker.load(zoo_options(name));
  return loaded ? "" : loaded.error().text();
}

TestSession active_session(TestWorker& worker) {
  auto session = worker.fork_session();
  if (!session) throw std::runtime_error("fork: " + session.error().text());
  auto opened = worker.open(*session);
  if (!opened) throw std::runtime_error("open: " + opened.error().text());
  if (!TestWorker::wait_state(*session, "detached")) throw std::runtime_error("not detached");
  return *std::move(session);
}

TEST(Worker, TellsWhatItIsAndWhichLayersHold) {
  TestWorker worker(example("echo"));
  auto hello = worker.hello();
  ASSERT_TRUE(hello) << hello.error().text();
  EXPECT_EQ(*json_string(*hello->body, "kind"), "zygote");
  auto loaded = worker.load(echo_options());
  ASSERT_TRUE(loaded) << loaded.error().text() << worker.log_text();
  auto layers = json_array(*loaded->body, "layers");
  ASSERT_TRUE(layers);
  for (const json::value& layer : **layers) {
    const std::string name(layer.at("name").as_string());
    const std::string state(layer.at("state").as_string());
    if (state != "active") std::cout << "layer " << name << " is " << state << " here\n";
    if (name == "seccomp" || name == "no_new_privs") {
      EXPECT_EQ(state, "active");
    }
  }
  EXPECT_TRUE(*json_bool(*loaded->body, "fork_safe"));
}

TEST(Worker, EchoesThroughTheHub) {
  TestWorker worker(example("echo"));
  ASSERT_TRUE(worker.hello());
  ASSERT_TRUE(worker.load(echo_options()));
  TestSession session = active_session(worker);
  auto client = worker.attach(session, "control", "Ada");
  ASSERT_TRUE(client);
  client->send_control(frames::Hello{1, 100, 30, "xterm"});
  auto welcome = client->next<frames::Welcome>();
  ASSERT_TRUE(welcome);
  EXPECT_EQ(welcome->session_id, session.id);
  EXPECT_EQ(welcome->mode, "control");
  EXPECT_EQ(welcome->controller, "Ada");
  EXPECT_EQ(welcome->cols, 100u);
  EXPECT_TRUE(client->wait_output("ready\r\n"));
  EXPECT_EQ(client->key_frames(), 1);
  client->send_input("hello there");
  EXPECT_TRUE(client->wait_output("hello there"));
  client->send_control(frames::Ping{7});
  auto pong = client->next<frames::Pong>();
  ASSERT_TRUE(pong);
  EXPECT_EQ(pong->id, 7);
  EXPECT_TRUE(TestWorker::wait_state(session, "active"));
}

// What rapctl types at the end of a pipe, and what goes on being typed until the session is over.
void type_the_end(TestClient& client) {
  client.send_input("last words\4not these");
  client.send_input("\4");
  EXPECT_TRUE(client.wait_output("last words"));
  const auto closed = client.next<frames::Closed>();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->reason, "exit");
  EXPECT_EQ(closed->detail, "end of input");
}

TEST(Worker, TheEndOfInputEndsASessionOfTheExample) {
  TestWorker worker(example("echo"));
  ASSERT_TRUE(worker.hello());
  ASSERT_TRUE(worker.load(echo_options()));
  TestSession session = active_session(worker);
  auto client = worker.join(session, "control", "Ada");
  ASSERT_TRUE(client);
  type_the_end(*client);
}

TEST(Worker, ServesThePluginInCToo) {
  TestWorker worker(example("echo-c"));
  ASSERT_TRUE(worker.hello());
  LoadOptions options = echo_options("rap.echo-c");
  options.wants = {};
  auto loaded = worker.load(options);
  ASSERT_TRUE(loaded) << loaded.error().text();
  TestSession session = active_session(worker);
  auto client = worker.join(session, "control", "Ada");
  ASSERT_TRUE(client);
  client->send_input("abc");
  EXPECT_TRUE(client->wait_output("abc"));
  type_the_end(*client);
}

TEST(Worker, TakeoverTellsTheOldControllerWhoAndEndsItsStream) {
  TestWorker worker(zoo("good"));
  ASSERT_EQ(load_zoo(worker, "good"), "");
  TestSession session = active_session(worker);
  auto ada = worker.join(session, "control", "Ada");
  auto view = worker.join(session, "view", "Val");
  auto grace = worker.join(session, "control", "Grace");
  ASSERT_TRUE(ada && view && grace);
  auto taken = ada->next<frames::TakenOver>();
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->by, "Grace");
  EXPECT_TRUE(ada->wait_end());
  auto told = view->next<frames::ControllerChanged>();
  ASSERT_TRUE(told);
  EXPECT_EQ(told->name, "Grace");
  grace->send_input("mine now");
  EXPECT_TRUE(grace->wait_output("mine now"));
  EXPECT_TRUE(view->wait_output("mine now"));
  bool seen = false;
  while (auto event = TestWorker::event(*session.agent, "event")) {
    if (*json_string(*event, "kind") != "taken_over") continue;
    EXPECT_EQ(*json_string(*event, "attach_id"), "att_Grace");
    EXPECT_EQ(*json_string(*event, "previous_attach_id"), "att_Ada");
    seen = true;
    break;
  }
  EXPECT_TRUE(seen);
}

TEST(Worker, ClosingEndsTheSessionAndTheProcess) {
  TestWorker worker(zoo("good"));
  ASSERT_EQ(load_zoo(worker, "good"), "");
  TestSession session = active_session(worker);
  auto client = worker.join(session, "control", "Ada");
  ASSERT_TRUE(client);
  json::object close = {{"op", "close"}, {"reason", "terminated"}, {"by", "Owner"}};
  ASSERT_TRUE(session.agent->call(close, {}, kPatience));
  auto closed = client->next<frames::Closed>();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->reason, "terminated");
  EXPECT_TRUE(client->wait_end());
  EXPECT_TRUE(TestWorker::wait_state(session, "closed"));
  auto exited = TestWorker::event(worker.agent(), "exited");
  ASSERT_TRUE(exited);
  EXPECT_EQ(*json_int(*exited, "exit_code"), 0);
  json::object stop = {{"op", "stop"}};
  EXPECT_TRUE(worker.agent().call(stop, {}, kPatience));
  EXPECT_EQ(worker.wait_exit(), 0);
}

TEST(Worker, AnotherNonceOrALowerFenceIsRefused) {
  TestWorker worker(zoo("good"));
  ASSERT_TRUE(worker.hello(7));
  auto stranger = worker.connect_again();
  auto refused = stranger->hello("00000000000000000000000000000000", 8, kPatience);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::unauthorized);
  auto old = worker.connect_again();
  refused = old->hello(worker.nonce(), 6, kPatience);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::conflict);
  // The rightful agent was not disturbed.
  json::object status = {{"op", "status"}};
  EXPECT_TRUE(worker.agent().call(status, {}, kPatience));
  auto silent = worker.connect_again();
  auto without = silent->call(status, {}, kPatience);
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().code, Errc::unauthorized);
}

TEST(Worker, ANewAgentTakesOverAndGetsWhatItMissed) {
  TestWorker worker(zoo("good"));
  ASSERT_EQ(load_zoo(worker, "good"), "");
  TestSession session = active_session(worker);
  session.agent.reset();  // the agent dies
  auto again = TestWorker::connect_session(session);
  auto hello = again->hello(session.nonce, 2, kPatience);
  ASSERT_TRUE(hello) << hello.error().text();
  EXPECT_EQ(*json_string(*hello->body, "state"), "detached");
  auto first = TestWorker::event(*again, "state");
  ASSERT_TRUE(first);  // never acknowledged, so told again
  EXPECT_EQ(*json_int(*first, "event_seq"), 1);
  EXPECT_EQ(*json_string(*first, "state"), "opening");
  ASSERT_TRUE(again->ack(2));
  session.agent = std::move(again);
  auto client = worker.join(session, "control", "Ada");
  ASSERT_TRUE(client);
  session.agent = TestWorker::connect_session(session);
  ASSERT_TRUE(session.agent->hello(session.nonce, 2, kPatience));
  client->send_input("still here");
  EXPECT_TRUE(client->wait_output("still here"));
  auto next = session.agent->next_message(kPatience);
  ASSERT_TRUE(next);
  EXPECT_GT(*json_int(*next->body, "event_seq"), 2);
}

TEST(Worker, ACrashEndsOneSessionAndNoOther) {
  TestWorker worker(zoo("crash-input"));
  ASSERT_EQ(load_zoo(worker, "crash-input"), "");
  TestSession one = active_session(worker);
  TestSession two = active_session(worker);
  auto ada = worker.join(one, "control", "Ada");
  auto bob = worker.join(two, "view", "Bob");
  ASSERT_TRUE(ada && bob);
  ada->send_input("x");
  auto exited = TestWorker::event(worker.agent(), "exited");
  ASSERT_TRUE(exited);
  EXPECT_EQ(*json_string(*exited, "session"), one.id);
  EXPECT_EQ(*json_int(*exited, "signal"), SIGSEGV);
  EXPECT_TRUE(ada->wait_end());
  bob->send_control(frames::Ping{1});
  EXPECT_TRUE(bob->next<frames::Pong>());
  EXPECT_TRUE(worker.fork_session());
}

TEST(Worker, AHangIsKilled) {
  TestWorker worker(zoo("hang-start"));
  ASSERT_EQ(load_zoo(worker, "hang-start"), "");
  auto session = worker.fork_session();  // hello is answered late or never
  auto exited = TestWorker::event(worker.agent(), "exited");
  ASSERT_TRUE(exited);
  EXPECT_EQ(*json_int(*exited, "exit_code"), 70);
  EXPECT_NE(json_string(*exited, "last_output")->find("T3"), std::string::npos);
}

TEST(Worker, WhatASessionPrintsWithoutAnAgentWaitsForTheNextOne) {
  TestWorker worker(zoo("hang-start"));
  ASSERT_EQ(load_zoo(worker, "hang-start"), "");
  const std::string path = "/tmp/rap-worker-test-" + std::to_string(getpid()) + ".sock";
  auto listening = ipc::listen_at(path);
  ASSERT_TRUE(listening);
  const int fds[] = {listening->get()};
  const json::object fork = {{"op", "fork"}, {"session", "ses_1"}};
  ASSERT_TRUE(worker.agent().call(fork, fds, kPatience));
  worker.disconnect();  // it prints a line about rule T3 when it has hung for 5 s, by its own time
  unlink(path.c_str());
  std::string log;
  for (int i = 0; i < 900 && log.find("T3") == std::string::npos; ++i) {
    std::this_thread::sleep_for(100ms);
    log = worker.log_text();
  }
  const auto line = log.find("\"session\":\"ses_1\"");
  ASSERT_NE(line, std::string::npos) << log;
  EXPECT_NE(log.find("T3", line), std::string::npos) << log;
}

TEST(Worker, EscapesAreDeniedToPlugins) {
  // Each fails in `start` where the host lets it through, and then `open` is refused.
  for (const char* name : {"fork-start", "connect-start", "read-files", "late-map", "wrong-thread",
                           "ungranted", "exec-start"}) {
    TestWorker worker(zoo(name));
    ASSERT_EQ(load_zoo(worker, name), "") << name;
    auto session = worker.fork_session();
    ASSERT_TRUE(session) << name << " " << session.error().text();
    auto opened = worker.open(*session);
    EXPECT_TRUE(opened) << name << ": " << opened.error().text();
  }
}

TEST(Worker, RefusesWhatIsNotWhatWasSigned) {
  for (const char* name : {"wrong-magic", "wrong-major", "small-size", "many-adapters",
                           "wild-pointer", "bad-id", "lying-descriptor"}) {
    TestWorker worker(zoo(name));
    EXPECT_NE(load_zoo(worker, name), "") << name;
    EXPECT_NE(worker.wait_exit(), -1) << name;
  }
  {
    TestWorker worker(zoo("good"));
    ASSERT_TRUE(worker.hello());
    LoadOptions options = zoo_options("good");
    options.flip_hash = true;
    auto loaded = worker.load(options);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Errc::mismatch);
  }
  {
    TestWorker worker(zoo("good"));
    ASSERT_TRUE(worker.hello());
    LoadOptions options = zoo_options("good");
    options.grants = {"rap.host.log/1"};
    auto loaded = worker.load(options);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Errc::forbidden);
  }
}

TEST(Worker, ChecksTheConfigurationBeforeThePluginSeesIt) {
  const struct {
    json::object config;
    const char* says;
  } wrong[] = {{{{"port", 0}}, "/port"},
               {{{"port", "22"}}, "/port"},
               {{{"prt", 22}}, "did you mean \"port\"?"}};
  for (const auto& each : wrong) {
    TestWorker worker(zoo("strict-config"));
    ASSERT_TRUE(worker.hello());
    LoadOptions options = zoo_options("strict-config");
    options.config = each.config;
    auto loaded = worker.load(options);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Errc::invalid);
    EXPECT_NE(loaded.error().detail.find(each.says), std::string::npos) << loaded.error().detail;
    EXPECT_NE(worker.wait_exit(), -1);
  }
  TestWorker worker(zoo("strict-config"));
  ASSERT_TRUE(worker.hello());
  LoadOptions options = zoo_options("strict-config");
  options.config = {{"port", 22}};
  auto loaded = worker.load(options);
  ASSERT_TRUE(loaded) << loaded.error().text();
  // The options of a session have their part of the schema.
  TestSession session = *worker.fork_session();
  ASSERT_TRUE(worker.open(session, "res_test", "", {{"user", ""}}));
  bool failed = false;
  while (auto event = TestWorker::event(*session.agent, "state")) {
    if (*json_string(*event, "state") != "failed") continue;
    EXPECT_NE(json_string(*event, "detail")->find("options: /user"), std::string::npos);
    failed = true;
    break;
  }
  EXPECT_TRUE(failed);
  TestSession good = *worker.fork_session();
  ASSERT_TRUE(worker.open(good, "res_test", "", {{"user", "ada"}}));
  EXPECT_TRUE(TestWorker::wait_state(good, "detached"));
}

TEST(Worker, StopIsRefusedWhileASessionLives) {
  TestWorker worker(zoo("good"));
  ASSERT_EQ(load_zoo(worker, "good"), "");
  TestSession session = active_session(worker);
  json::object stop = {{"op", "stop"}};
  auto refused = worker.agent().call(stop, {}, kPatience);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::conflict);
  stop["force"] = true;
  EXPECT_TRUE(worker.agent().call(stop, {}, kPatience));
  EXPECT_EQ(worker.wait_exit(), 0);
}

TEST(Worker, ATextThatIsNoneDoesNotCostTheConnectionToTheAgent) {
  TestWorker worker(zoo("bad-text"));
  ASSERT_EQ(load_zoo(worker, "bad-text"), "");
  TestSession session = active_session(worker);
  auto client = worker.join(session, "control", "Ada");
  ASSERT_TRUE(client);
  client->send_input("x");
  std::optional<json::object> event;
  do {
    event = TestWorker::event(*session.agent, "state");
    ASSERT_TRUE(event) << "the connection is gone";
  } while (*json_string(*event, "state") != "failed");
  const std::string detail = *json_string(*event, "detail");
  EXPECT_EQ(detail.substr(0, 4) + detail.substr(510, 2), "??xxx?");
}

TEST(Worker, WhatAPluginSaysOfACallThatItRefusesIsInTheLogOnceASecond) {
  TestWorker worker(zoo("refuses-input"));
  ASSERT_EQ(load_zoo(worker, "refuses-input"), "");
  TestSession session = active_session(worker);
  auto client = worker.join(session, "control", "Ada");
  ASSERT_TRUE(client);
  worker.disconnect();  // what its sessions print goes into the worker's own log then
  for (int i = 0; i < 100; ++i) client->send_input("x");
  client->send_control(frames::Ping{1});
  ASSERT_TRUE(client->next<frames::Pong>());  // the session goes on
  // Keys go on until more than a second has passed, however long that takes.
  std::string log = worker.log_text();
  const std::string line = "the plugin refused a call";
  const auto lines = [&] {
    int out = 0;
    for (std::size_t at = 0; (at = log.find(line, at)) != std::string::npos; ++at) ++out;
    return out;
  };
  int typed = 100;
  for (int i = 0; i < 3000 && lines() < 2; ++i) {
    client->send_input("x");
    ++typed;
    std::this_thread::sleep_for(10ms);
    log = worker.log_text();
  }
  ASSERT_GE(lines(), 2) << log;
  EXPECT_LT(lines(), typed);
  EXPECT_NE(log.find("input: internal: my own words"), std::string::npos) << log;
  EXPECT_NE(log.find("\"session\":\"" + session.id), std::string::npos) << log;
}

TEST(Worker, AFloodIsBounded) {
  TestWorker worker(zoo("flood-emit"));
  ASSERT_EQ(load_zoo(worker, "flood-emit"), "");
  TestSession session = active_session(worker);
  auto client = worker.join(session, "control", "Ada");
  ASSERT_TRUE(client);
  client->send_input("x");  // 100 MB for somebody who does not read
  std::this_thread::sleep_for(500ms);
  json::object status = {{"op", "status"}};
  EXPECT_TRUE(session.agent->call(status, {}, kPatience));
  const auto pids = worker.inner_pids();
  ASSERT_GE(pids.size(), 2u);
  EXPECT_GT(client->drain(1 << 20), std::size_t{1} << 20);
}

TEST(Worker, ForksFast) {
  TestWorker worker(zoo("good"));
  ASSERT_EQ(load_zoo(worker, "good"), "");
  std::vector<double> ready_ms;
  std::vector<TestSession> sessions;
  for (int i = 0; i < 15; ++i) {
    const auto began = std::chrono::steady_clock::now();
    auto session = worker.fork_session();
    ASSERT_TRUE(session) << session.error().text();
    ready_ms.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
            .count());
    sessions.push_back(*std::move(session));
  }
  std::sort(ready_ms.begin(), ready_ms.end());
  std::cout << "session worker answers hello after " << ready_ms[7] << " ms (median of 15)\n";
  RecordProperty("fork_ms", std::to_string(ready_ms[7]));
}

}  // namespace
}  // namespace rap::test
