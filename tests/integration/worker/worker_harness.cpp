#include "tests/integration/worker/worker_harness.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/crypto.hpp"
#include "base/id.hpp"
#include "base/json.hpp"
#include "host/loader/plugin_manifest.hpp"
#include "host/loader/sealed_memfd.hpp"

namespace rap::test {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

int left_ms(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  return static_cast<int>(std::max<long>(0, left.count()));
}

[[noreturn]] void exec_worker(int listening, int memfd, int log, int state,
                              sandbox::Network network) {
  // Away from 3, 4, 5 first.
  const int sources[] = {fcntl(listening, F_DUPFD, 20), fcntl(memfd, F_DUPFD, 20),
                         fcntl(log, F_DUPFD, 20), state < 0 ? -1 : fcntl(state, F_DUPFD, 20)};
  for (int i = 0; i < 4; ++i) {
    if (sources[i] >= 0) dup2(sources[i], 3 + i);
  }
  char* const environment[] = {nullptr};
  const char* arguments[] = {
      RAP_BIN_DIR "/rap-worker", "--instance", "test", nullptr, nullptr, nullptr};
  int next = 3;
  if (network == sandbox::Network::client) arguments[next++] = "--network";
  if (state >= 0) arguments[next++] = "--state-directory";
  execve(arguments[0], const_cast<char* const*>(arguments), environment);
  _exit(127);
}

}  // namespace

std::string zoo(const std::string& name) {
  return std::string(RAP_TEST_OUT_DIR "/zoo/") + name + ".so";
}
std::string example(const std::string& name) {
  return std::string(RAP_PLUGIN_OUT_DIR "/") + name + ".so";
}

TestWorker::TestWorker(const std::string& plugin_file, sandbox::Network network,
                       const std::string& state_directory)
    : plugin_file_(plugin_file) {
  char pattern[] = "/tmp/rap-worker-test-XXXXXX";
  directory_ = mkdtemp(pattern);
  nonce_ = to_hex(random_bytes(16));
  auto listening = ipc::listen_at(directory_ + "/zygote.sock");
  auto sealed = loader::seal_file(plugin_file);
  if (!listening || !sealed) throw std::runtime_error("harness: " + plugin_file);
  sha256_ = to_hex(sealed->sha256);
  length_ = sealed->size;
  const Fd log(
      ::open((directory_ + "/log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600));
  Fd state;
  if (!state_directory.empty()) {
    // As the agent does it: inside everybody is nobody.
    state.reset(::open(state_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (geteuid() == 0) (void)!fchown(state.get(), sandbox::kNobody, sandbox::kNobody);
  }
  pid_ = fork();
  if (pid_ == 0) {
    exec_worker(listening->get(), sealed->fd.get(), log.get(), state.get(), network);
  }
  agent_ = connect_again();
}

TestWorker::~TestWorker() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::unique_ptr<ipc::BlockingClient> TestWorker::connect_again() {
  auto socket = ipc::connect_to(directory_ + "/zygote.sock");
  if (!socket) throw std::runtime_error(socket.error().text());
  return std::make_unique<ipc::BlockingClient>(*std::move(socket));
}

std::unique_ptr<ipc::BlockingClient> TestWorker::connect_session(const TestSession& session) {
  auto socket = ipc::connect_to(session.path);
  if (!socket) throw std::runtime_error(socket.error().text());
  return std::make_unique<ipc::BlockingClient>(*std::move(socket));
}

Result<ipc::Message> TestWorker::hello(std::int64_t fence) {
  return agent_->hello(nonce_, fence, kPatience);
}

Result<ipc::Message> TestWorker::load(LoadOptions options) {
  loader::PluginManifest manifest;
  manifest.product = "plugin.rap.test";
  manifest.version = "1.0.0";
  manifest.release_seq = 1;
  manifest.abi_major = 1;
  manifest.dt_needed = options.dt_needed;
  loader::ManifestVariant variant;
  variant.os = "linux";
  variant.arch = loader::this_arch();
  variant.libc = "glibc";
  variant.target = "rel/plugin.rap.test/1.0.0/linux-" + variant.arch + "-glibc.so";
  variant.length = length_;
  auto digest = from_hex(sha256_);
  std::copy(digest->begin(), digest->end(), variant.sha256.begin());
  manifest.variants = {variant};
  loader::AdapterFacts adapter;
  adapter.id = options.adapter;
  adapter.roles = options.roles;
  adapter.needs = options.needs;
  adapter.wants = options.wants;
  adapter.provides = options.provides;
  adapter.profile = options.profile;
  adapter.share = options.share;
  adapter.fork_safe = options.fork_safe;
  manifest.adapters = {adapter};
  manifest.adapters.insert(manifest.adapters.end(), options.more.begin(), options.more.end());
  json::array grants;
  for (const std::string& grant : options.grants) grants.emplace_back(grant);
  std::string sha256 = sha256_;
  if (options.flip_hash) sha256[0] = sha256[0] == '0' ? '1' : '0';
  json::object body = {{"op", "load"},
                       {"sha256", sha256},
                       {"length", length_},
                       {"adapter", options.adapter},
                       {"manifest", *parse_json(loader::to_json(manifest))},
                       {"grants", grants},
                       {"organization", "org_test"},
                       {"config", options.config},
                       {"mode", options.mode}};
  return agent_->call(body, {}, kPatience);
}

Result<TestSession> TestWorker::fork_session() {
  TestSession out;
  out.id = new_id_text("ses_");
  out.path = directory_ + "/" + out.id + ".sock";
  out.nonce = to_hex(random_bytes(16));
  auto listening = ipc::listen_at(out.path);
  if (!listening) return fail(listening.error());
  json::object body = {{"op", "fork"}, {"session", out.id}};
  const int fds[] = {listening->get()};
  auto forked = agent_->call(body, fds, kPatience);
  if (!forked) return fail(forked.error());
  listening->reset();  // as the agent does: when the session dies its socket dies with it
  out.pid = *json_int(*forked->body, "pid");
  out.in_place = *json_bool(*forked->body, "in_place");
  if (!forked->fds.empty()) out.pidfd = std::move(forked->fds.front());
  out.agent = connect_session(out);
  auto hello = out.agent->hello(out.nonce, 1, kPatience);
  if (!hello) return fail(hello.error());
  return out;
}

Result<ipc::Message> TestWorker::open(TestSession& session, const std::string& target,
                                      const std::string& secret_ref, json::object options) {
  json::object body = {{"op", "open"},
                       {"session", session.id},
                       {"organization", "org_test"},
                       {"resource", target},
                       {"target", target},
                       {"secret_ref", secret_ref},
                       {"options", std::move(options)},
                       {"cols", 80},
                       {"rows", 24}};
  return session.agent->call(body, {}, kPatience);
}

Result<TestClient> TestWorker::attach(TestSession& session, const char* mode,
                                      const std::string& user) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail(Errc::internal, "socketpair");
  }
  Fd mine(ends[0]);
  const Fd theirs(ends[1]);
  json::object body = {{"op", "attach"},
                       {"attach_id", "att_" + user},
                       {"mode", mode},
                       {"user_id", "usr_" + user},
                       {"user_name", user}};
  const int fds[] = {theirs.get()};
  auto attached = session.agent->call(body, fds, kPatience);
  if (!attached) return fail(attached.error());
  return TestClient(std::move(mine));
}

Result<TestClient> TestWorker::join(TestSession& session, const char* mode, const std::string& user,
                                    std::uint32_t cols, std::uint32_t rows) {
  auto client = attach(session, mode, user);
  if (!client) return client;
  client->send_control(frames::Hello{1, cols, rows, "xterm"});
  if (!client->next<frames::Welcome>()) return fail(Errc::timeout, "no welcome");
  return client;
}

std::optional<json::object> TestWorker::event(ipc::BlockingClient& from, const char* op,
                                              int timeout_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (true) {
    auto message = from.next_message(std::chrono::milliseconds(left_ms(deadline)));
    if (!message) return std::nullopt;
    if (message->op == op) return json::object(*message->body);
  }
}

bool TestWorker::wait_state(TestSession& session, const std::string& state, int timeout_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (auto seen = event(*session.agent, "state", left_ms(deadline))) {
    if (*json_string(*seen, "state") == state) return true;
  }
  return false;
}

int TestWorker::wait_exit(int timeout_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (true) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return status;
    }
    if (left_ms(deadline) == 0) return -1;
    std::this_thread::sleep_for(5ms);
  }
}

std::vector<pid_t> TestWorker::inner_pids() const {
  std::vector<pid_t> out;
  std::vector<pid_t> look = {pid_};
  while (!look.empty()) {
    const pid_t pid = look.back();
    look.pop_back();
    const std::string number = std::to_string(pid);
    std::ifstream children("/proc/" + number + "/task/" + number + "/children");
    for (pid_t child = 0; children >> child;) {
      out.push_back(child);
      look.push_back(child);
    }
  }
  return out;
}

std::string TestWorker::log_text() const {
  std::ifstream in(directory_ + "/log");
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

}  // namespace rap::test
