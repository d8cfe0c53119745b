// Starts a real rap-worker the way the agent does, and plays agent and clients.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <boost/json.hpp>

#include "host/ipc/blocking_client.hpp"
#include "host/loader/plugin_facts.hpp"
#include "host/worker/sandbox.hpp"
#include "tests/support/patience.hpp"
#include "tests/support/test_client.hpp"

namespace rap::test {

struct TestSession {
  std::string id;
  std::string path;
  std::int64_t pid = 0;  // in the zygote's namespace
  Fd pidfd;
  bool in_place = false;
  std::unique_ptr<ipc::BlockingClient> agent;
  std::string nonce;
};

struct LoadOptions {
  std::string adapter;
  std::vector<std::string> grants = {"rap.host.session/1", "rap.host.log/1", "rap.host.loop/1"};
  bool fork_safe = true;
  bool flip_hash = false;
  boost::json::object config;
  const char* mode = "session";
  std::vector<std::string> provides = {"rap.adapter.session/1"};
  std::uint32_t share = 2;
  std::vector<std::string> roles = {"zoo-worker"};
  std::vector<std::string> needs = {"rap.host.session/1"};
  std::vector<std::string> wants = {"rap.host.log/1", "rap.host.loop/1"};
  std::string profile = "net.none";
  std::vector<loader::AdapterFacts> more = {};  // the library's other adapters
  std::vector<std::string> dt_needed = {"libc.so.6"};
};

class TestWorker {
 public:
  explicit TestWorker(const std::string& plugin_file,
                      sandbox::Network network = sandbox::Network::none,
                      const std::string& state_directory = "");
  ~TestWorker();

  Result<ipc::Message> hello(std::int64_t fence = 1);
  Result<ipc::Message> load(LoadOptions options);
  // Fork, connect, hello.
  Result<TestSession> fork_session();
  // open with defaults.
  Result<ipc::Message> open(TestSession& session, const std::string& target = "res_test",
                            const std::string& secret_ref = "", boost::json::object options = {});
  // A client, attached; the hello is the caller's.
  Result<TestClient> attach(TestSession& session, const char* mode, const std::string& user);
  // attach, hello, welcome.
  Result<TestClient> join(TestSession& session, const char* mode, const std::string& user,
                          std::uint32_t cols = 80, std::uint32_t rows = 24);

  // The next event with that op; skips others.
  static std::optional<boost::json::object> event(ipc::BlockingClient& from, const char* op,
                                                  int timeout_ms = kPatienceMs);
  // Waits for a state event.
  static bool wait_state(TestSession& session, const std::string& state,
                         int timeout_ms = kPatienceMs);

  std::unique_ptr<ipc::BlockingClient> connect_again();
  // The agent is gone.
  void disconnect() { agent_.reset(); }
  static std::unique_ptr<ipc::BlockingClient> connect_session(const TestSession& session);

  ipc::BlockingClient& agent() { return *agent_; }
  pid_t pid() const { return pid_; }  // the anchor
  const std::string& nonce() const { return nonce_; }
  // waitpid; -1 at the timeout.
  int wait_exit(int timeout_ms = kPatienceMs);
  // Outside pids of the processes inside, innermost last: zygote first, then sessions.
  std::vector<pid_t> inner_pids() const;
  std::string log_text() const;

 private:
  std::string directory_;
  std::string plugin_file_;
  std::string nonce_;
  Fd memfd_;
  std::string sha256_;
  std::uint64_t length_ = 0;
  pid_t pid_ = -1;
  std::unique_ptr<ipc::BlockingClient> agent_;
};

std::string zoo(const std::string& name);
std::string example(const std::string& name);

}  // namespace rap::test
