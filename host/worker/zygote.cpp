#include "host/worker/zygote.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "host/ipc/server.hpp"
#include "host/worker/line_pipe.hpp"
#include "host/worker/loop.hpp"
#include "host/worker/plugin_load.hpp"
#include "host/worker/process_facts.hpp"
#include "host/worker/report_json.hpp"
#include "host/worker/signal_descriptor.hpp"
#include "host/worker/workload.hpp"

namespace rap::worker {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

// One organization on one node; beyond that the node is too small for it.
constexpr std::size_t kSessionsMax = 512;
// From SIGTERM to SIGKILL for sessions of a zygote that is told to stop.
constexpr auto kStopGrace = 3s;
// Without a hello by then the agent ended before it had noted this process's pid: none will come.
constexpr auto kHelloLimit = 30s;
// A workload that drains longer holds back the update that waits for it.
constexpr std::int64_t kDrainMsMax = 10 * 60 * 1000;

class Zygote {
 public:
  explicit Zygote(ZygoteStart start)
      : start_(std::move(start)),
        server_({std::move(start_.listening), "zygote", RAP_VERSION, start_.sandbox.starter_uid},
                {[this](ipc::IpcServer::RequestId id, ipc::Message message) {
                   on_request(id, std::move(message));
                 },
                 [this](json::object& answer) { add_status(answer); }}) {}

  ZygoteEnd run() {
    watch_signals();
    (void)loop_.watch(server_.fd(), kRead, [this](std::uint32_t) { server_.process(); })
        .has_value();
    loop_.timer(kHelloLimit, 0ms, [this] {
      if (server_.greeted()) return;
      log::warn("no agent came");
      stop(1);
    });
    log::info("zygote ready", {{"instance", start_.instance}});
    loop_.run();
    return std::move(end_);
  }

 private:
  struct Child {
    std::string session;
    LinePipe output;
  };
  using RequestId = ipc::IpcServer::RequestId;

  void on_request(RequestId id, ipc::Message message) {
    if (message.op == "load") return on_load(id, *message.body);
    if (message.op == "fork") return on_fork(id, message);
    if (message.op == "stop") return on_stop(id, *message.body);
    if (message.op == "end") return on_end(id, *message.body);
    if (message.op == "status") {
      json::object answer;
      add_status(answer);
      return server_.answer(id, answer);
    }
    if (workload_ && message.op != "fork") {
      auto answer = workload_->on_request(id, message);
      if (!answer) return server_.refuse(id, answer.error());
      if (*answer) server_.answer(id, **answer);  // else it comes later
      return;
    }
    server_.refuse(id, {Errc::unsupported, "unknown op " + message.op});
  }

  void on_load(RequestId id, const json::object& body) {
    if (request_) return server_.refuse(id, {Errc::conflict, "a plugin is loaded already"});
    const auto began = Loop::Clock::now();
    auto request = parse_load(body);
    if (!request) return server_.refuse(id, request.error());
    request_ = *std::move(request);
    auto two = sandbox::StageTwo::prepare(start_.sandbox.kept());
    Result<Loaded> loaded = two ? load(*request_, std::move(start_.plugin), start_.sandbox.report,
                                       start_.sandbox.kept())
                                : Result<Loaded>(fail(two.error()));
    if (!loaded) return give_up(id, loaded.error());
    stage_two_ = *std::move(two);
    loaded_ = *std::move(loaded);
    if (request_->mode == Mode::workload) {
      if (auto started = start_workload(); !started) return give_up(id, started.error());
    }
    load_ms_ = std::chrono::duration<double, std::milli>(Loop::Clock::now() - began).count();
    json::object answer;
    add_status(answer);
    server_.answer(id, answer);
  }

  // Code of the plugin may be mapped already: this process is good for nothing else.
  void give_up(RequestId id, const Error& why) {
    log::error("the plugin was not loaded", {{"detail", why.text()}});
    server_.refuse(id, why);
    stop(1);
  }

  // No fork: the plugin may not stand one, and there is nothing to keep apart. This process serves
  // the workload from now on; its end is the workload's.
  Status start_workload() {
    WorkloadStart start;
    start.library = &*loaded_;
    start.organization = request_->organization;
    workload_.emplace(loop_, server_, std::move(start), [this] { stop(0); });
    prctl(PR_SET_NAME, "rap-workload", 0, 0, 0);
    if (auto closed = stage_two_->apply(start_.sandbox.report); !closed) return closed;
    return workload_->start(*request_, loaded_->first);
  }

  // ---- fork ----
  void on_fork(RequestId id, ipc::Message& message) {
    auto session = json_string(*message.body, "session");
    if (!session) return server_.refuse(id, session.error());
    if (!loaded_) return server_.refuse(id, {Errc::conflict, "load comes first"});
    if (message.fds.size() != 1) {
      return server_.refuse(id, {Errc::invalid, "fork needs one descriptor"});
    }
    if (workload_) return server_.refuse(id, {Errc::unsupported, "a workload has no sessions"});
    if (stopping_) return server_.refuse(id, {Errc::unavailable, "stopping"});
    if (children_.size() >= kSessionsMax) {
      return server_.refuse(id, {Errc::exhausted, "512 sessions are the most"});
    }
    // Posted: the child must not find itself in the middle of handling the agent's messages.
    auto listening = std::make_shared<Fd>(std::move(message.fds.front()));
    loop_.post([this, id, name = *session, listening] {
      if (!loaded_->fork_safe) return become_session(id, name, std::move(*listening));
      fork_session(id, name, std::move(*listening));
    });
  }

  SessionStart session_start(const std::string& session, Fd listening) {
    SessionStart out;
    out.session_id = session;
    out.listening = std::move(listening);
    out.plugin = loaded_->plugin;
    out.adapter_id = request_->adapter;
    out.grants = loaded_->first.grants;
    out.config = request_->config;
    out.config_schema = loaded_->first.config_schema;
    out.organization = request_->organization;
    out.report = start_.sandbox.report;
    out.agent_uid = start_.sandbox.starter_uid;
    return out;
  }

  void fork_session(RequestId id, const std::string& session, Fd listening) {
    const auto began = Loop::Clock::now();
    // Only the thread that forks exists in the child; a lock another one holds would stay locked.
    if (facts_.threads() != 1) {
      return server_.refuse(
          id, {Errc::internal, "the plugin started a thread before create (rule T4)"});
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
      return server_.refuse(id, {Errc::exhausted, "pipe: " + errno_text(errno)});
    }
    Fd reading(ends[0]);
    Fd writing(ends[1]);
    const pid_t pid = fork();
    if (pid < 0) return server_.refuse(id, {Errc::exhausted, "fork: " + errno_text(errno)});
    if (pid == 0) return be_child(session, std::move(listening), std::move(writing));
    const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    watch_child(pid, session, std::move(reading));
    const auto took =
        std::chrono::duration_cast<std::chrono::microseconds>(Loop::Clock::now() - began);
    json::object answer = {{"pid", pid}, {"in_place", false}, {"fork_us", took.count()}};
    const int fds[] = {pidfd.get()};
    server_.answer(id, answer, std::span(fds, pidfd ? 1 : 0));
  }

  void be_child(const std::string& session, Fd listening, Fd output) {
    dup2(output.get(), STDOUT_FILENO);
    dup2(output.get(), STDERR_FILENO);
    prctl(PR_SET_NAME, "rap-session", 0, 0, 0);
    hand_over(session, std::move(listening));
  }

  // A plugin that is not fork-safe: this process serves the session itself, and is no zygote any
  // more. The agent watches the process it started.
  void become_session(RequestId id, const std::string& session, Fd listening) {
    const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
    json::object answer = {{"pid", getpid()}, {"in_place", true}, {"fork_us", 0}};
    const int fds[] = {pidfd.get()};
    server_.answer(id, answer, std::span(fds, pidfd ? 1 : 0));
    hand_over(session, std::move(listening));
  }

  void hand_over(const std::string& session, Fd listening) {
    SessionStart out = session_start(session, std::move(listening));
    if (auto closed = stage_two_->apply(out.report); !closed) {
      log::error("stage two of the sandbox", {{"detail", closed.error().text()}});
      _exit(kExitSandbox);
    }
    end_.session = std::move(out);
    loop_.stop();
  }

  void watch_child(pid_t pid, const std::string& session, Fd reading) {
    auto [at, fresh] = children_.emplace(pid, Child{session, LinePipe(std::move(reading))});
    Child& child = at->second;
    (void)loop_
        .watch(child.output.fd(), kRead, [this, &child](std::uint32_t) { read_output(child); })
        .has_value();
  }

  void read_output(Child& child) {
    const bool more = child.output.drain([&](std::string_view line) {
      // As text: bytes that are none would cost the connection.
      json::object note = {
          {"level", "info"}, {"session", child.session}, {"message", as_utf8(line)}};
      if (!server_.agent_connected()) return keep_for_the_next_agent(note);
      note["op"] = "log";
      server_.send_note(note);
    });
    if (!more) loop_.unwatch(child.output.fd());
  }

  // Into this process's own log pipe, which outlives an agent and holds 64 KiB for the next one.
  // When that is full the line is lost: nothing here waits for an agent.
  static void keep_for_the_next_agent(const json::object& line) {
    const std::string text = json::serialize(line) + "\n";
    (void)!write(STDOUT_FILENO, text.data(), text.size());
  }

  // ---- the end of children and of this process ----
  void watch_signals() {
    signals_ = signal_descriptor({SIGTERM, SIGINT, SIGHUP, SIGCHLD});
    (void)loop_.watch(signals_.get(), kRead, [this](std::uint32_t) { on_signal(); }).has_value();
  }

  void on_signal() {
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof info) > 0) {
      if (info.ssi_signo != SIGCHLD) stop(0);
    }
    int status = 0;
    pid_t pid = 0;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) on_exit(pid, status);
  }

  void on_exit(pid_t pid, int status) {
    auto at = children_.find(pid);
    if (at == children_.end()) return;  // adopted as pid 1
    Child& child = at->second;
    read_output(child);
    loop_.unwatch(child.output.fd());
    json::object event = {{"op", "exited"},    {"session", child.session},
                          {"pid", pid},        {"exit_code", nullptr},
                          {"signal", nullptr}, {"last_output", as_utf8(child.output.last_words())}};
    if (WIFEXITED(status)) event["exit_code"] = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) event["signal"] = WTERMSIG(status);
    server_.send_event(std::move(event));
    children_.erase(at);
    if (stopping_ && children_.empty()) loop_.stop();
  }

  void on_stop(RequestId id, const json::object& body) {
    const auto force = json_bool(body, "force");
    if (!children_.empty() && !(force && *force)) {
      return server_.refuse(
          id, {Errc::conflict, std::to_string(children_.size()) + " sessions are running"});
    }
    const std::int64_t drain_ms =
        std::clamp<std::int64_t>(json_int_or_none(body, "drain_ms").value_or(0), 0, kDrainMsMax);
    if (workload_ && drain_ms > 0) {
      // First: with the answer its successor may bind the same addresses.
      workload_->drain(std::chrono::milliseconds(drain_ms));
      return server_.answer(id, json::object{});
    }
    server_.answer(id, json::object{});
    stop(0);
  }

  // A session that the agent has no record of, so that nobody else can.
  void on_end(RequestId id, const json::object& body) {
    const std::string session = json_string_or_none(body, "session").value_or("");
    bool found = false;
    for (const auto& [pid, child] : children_) {
      if (child.session != session) continue;
      found = true;
      kill(pid, SIGTERM);
      loop_.timer(kStopGrace, 0ms, [this, pid, session] {
        const auto at = children_.find(pid);
        if (at != children_.end() && at->second.session == session) kill(pid, SIGKILL);
      });
    }
    if (!found) return server_.refuse(id, {Errc::not_found, "no such session"});
    server_.answer(id, json::object{});
  }

  void stop(int exit_code) {
    if (std::exchange(stopping_, true)) return;
    end_.exit_code = exit_code;
    if (workload_) workload_->stop();
    if (children_.empty()) return loop_.stop();
    for (const auto& [pid, child] : children_) kill(pid, SIGTERM);
    loop_.timer(kStopGrace, 0ms, [this] {
      for (const auto& [pid, child] : children_) kill(pid, SIGKILL);
      loop_.stop();
    });
  }

  void add_status(json::object& out) {
    out["instance"] = start_.instance;
    out["loaded"] = loaded_.has_value();
    out["layers"] = layers_json(start_.sandbox.report);
    out["rss_kb"] = facts_.resident_kb();
    if (loaded_) {
      out["sha256"] = request_->sha256;
      out["adapter"] = request_->adapter;
      out["organization"] = request_->organization;
      out["fork_safe"] = loaded_->fork_safe;
      out["load_ms"] = load_ms_;
    }
    if (workload_) workload_->add_status(out);
    json::array sessions;
    for (const auto& [pid, child] : children_) {
      sessions.push_back({{"session", child.session}, {"pid", pid}});
    }
    out["sessions"] = std::move(sessions);
  }

  // Nothing here undoes anything when it is destroyed but closing descriptors: a forked child
  // destroys its copy.
  ZygoteStart start_;
  ProcessFacts facts_;
  Loop loop_;
  Fd signals_;
  ipc::IpcServer server_;
  std::optional<LoadRequest> request_;
  std::optional<sandbox::StageTwo> stage_two_;
  std::optional<Loaded> loaded_;
  std::optional<Workload> workload_;
  double load_ms_ = 0;
  std::map<pid_t, Child> children_;  // stable addresses
  bool stopping_ = false;
  ZygoteEnd end_;
};

}  // namespace

ZygoteEnd run_zygote(ZygoteStart start) {
  Zygote zygote(std::move(start));
  return zygote.run();
}

}  // namespace rap::worker
