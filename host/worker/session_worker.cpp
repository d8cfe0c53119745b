#include "host/worker/session_worker.hpp"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <boost/json.hpp>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "host/ipc/server.hpp"
#include "host/worker/plugin_host/adapter_session.hpp"
#include "host/worker/plugin_load.hpp"
#include "host/worker/report_json.hpp"
#include "host/worker/signal_descriptor.hpp"

namespace rap::worker {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

// After the end: time for the agent to acknowledge the last events.
constexpr auto kAckLimit = 2s;
// After the end: clients that still take what was left; none of them may keep the process for ever.
constexpr auto kDrainLimit = 30s;
constexpr auto kAckPoll = 20ms;
// A session process nobody opened anything in lost its agent between fork and `open`: no record
// names its pid, so that no other agent comes. The agent itself gives up after 15 s.
constexpr auto kOpenLimit = 15s;
constexpr std::size_t kOptionsBytesMax = std::size_t{32} << 10;

std::string now_text() {
  return to_rfc3339(RealClock().now());
}

class SessionWorker final : private AgentLink, private HubListener {
 public:
  explicit SessionWorker(SessionStart start)
      : start_(std::move(start)),
        server_({std::move(start_.listening), "session", RAP_VERSION, start_.agent_uid},
                {[this](ipc::IpcServer::RequestId id, ipc::Message message) {
                   on_request(id, std::move(message));
                 },
                 [this](json::object& answer) { add_status(answer); }}),
        host_(loop_, *this, watchdog_,
              {start_.grants, start_.config, start_.organization, start_.session_id}),
        remote_(
            loop_, host_,
            {[this](rap_result result, const std::string& detail) { on_opened(result, detail); },
             [this](rap_result result, const std::string& detail) {
               on_remote_closed(result, detail);
             }}) {}

  int run() {
    watch_signals();
    (void)loop_.watch(server_.fd(), kRead, [this](std::uint32_t) { server_.process(); })
        .has_value();
    if (auto started = host_.start(*start_.plugin, start_.adapter_id); !started) {
      log::error("the plugin did not start", {{"detail", started.error().text()}});
      start_error_ = started.error();
    }
    loop_.timer(kOpenLimit, 0ms, [this] {
      if (hub_) return;
      log::warn("nobody opened a session");
      loop_.stop();
    });
    loop_.run();
    remote_.close(RAP_E_CANCELED);
    host_.stop();
    return hub_ && hub_->state() == SessionState::closed ? kExitClosed : kExitFailed;
  }

 private:
  // ---- the agent's requests ----
  void on_request(ipc::IpcServer::RequestId id, ipc::Message message) {
    Result<json::object> answer = fail(Errc::unsupported, "unknown op " + message.op);
    if (message.op == "open") answer = open(*message.body);
    if (message.op == "attach") answer = attach(message);
    if (message.op == "drop") answer = drop(*message.body);
    if (message.op == "close") answer = close(*message.body);
    if (message.op == "status") answer = status();
    if (!answer) return server_.refuse(id, answer.error());
    server_.answer(id, *answer);
  }

  Result<json::object> open(const json::object& body) {
    if (hub_) return fail(Errc::conflict, "this process has its session");
    if (start_error_) return fail(*start_error_);
    SessionWant want;
    auto session = json_string(body, "session");
    auto target = json_string(body, "target");
    if (!session) return fail(session.error());
    if (!target) return fail(target.error());
    if (*session != start_.session_id) return fail(Errc::mismatch, "another session's id");
    want.session_id = *session;
    want.target = *target;
    want.secret_ref = json_string_or_none(body, "secret_ref").value_or("");
    want.cols = size_of(body, "cols", 80);
    want.rows = size_of(body, "rows", 24);
    const auto* options = body.if_contains("options");
    want.options = options != nullptr ? json::serialize(*options) : "{}";
    if (want.options.size() > kOptionsBytesMax) return fail(Errc::too_large, "options: 32 KiB");
    auto good_options =
        check_session_options(options != nullptr ? *options : json::object{}, start_.config_schema);
    hub_.emplace(loop_, remote_, static_cast<HubListener&>(*this), want.session_id, want.cols,
                 want.rows);
    remote_.set_hub(&*hub_);
    on_state(SessionState::opening, "", std::nullopt);
    // Accepted; how it goes on is told by events.
    auto opened = good_options ? remote_.open(want) : Status(fail(good_options.error()));
    if (!opened) {
      loop_.post([this, error = opened.error()] { on_opened(RAP_E_INTERNAL, error.detail); });
    }
    return json::object{};
  }

  Result<json::object> attach(ipc::Message& message) {
    if (!hub_) return fail(Errc::conflict, "open comes first");
    if (message.fds.size() != 1) return fail(Errc::invalid, "attach needs one descriptor");
    const json::object& body = *message.body;
    auto attach_id = json_string(body, "attach_id");
    auto mode = json_string(body, "mode");
    auto user_id = json_string(body, "user_id");
    auto user_name = json_string(body, "user_name");
    for (const auto* member : {&attach_id, &mode, &user_id, &user_name}) {
      if (!*member) return fail(member->error());
    }
    if (*mode != "control" && *mode != "view") return fail(Errc::invalid, "mode");
    AttachRequest request;
    request.attach_id = *attach_id;
    request.mode = *mode == "control" ? AttachMode::control : AttachMode::view;
    request.user_id = *user_id;
    request.user_name = *user_name;
    request.from = json_string_or_none(body, "from").value_or("");
    request.stream = std::move(message.fds.front());
    if (auto added = hub_->add(std::move(request)); !added) return fail(added.error());
    return json::object{};
  }

  Result<json::object> drop(const json::object& body) {
    auto user_id = json_string(body, "user_id");
    if (!user_id) return fail(user_id.error());
    const std::string detail = json_string_or_none(body, "detail").value_or("");
    const std::size_t dropped = hub_ ? hub_->drop_person(*user_id, detail) : 0;
    return json::object{{"dropped", dropped}};
  }

  Result<json::object> close(const json::object& body) {
    const std::string reason = json_string_or_none(body, "reason").value_or("terminated");
    const std::string by = json_string_or_none(body, "by").value_or("");
    end(reason, by);
    return json::object{};
  }

  void end(const std::string& reason, const std::string& by) {
    if (!hub_) return loop_.stop();
    hub_->close(reason, by);
    remote_.close(RAP_E_CANCELED);
  }

  json::object status() {
    json::object out;
    add_status(out);
    const rap_health health = host_.health();
    out["health"] = {{"level", health.level}, {"note", as_utf8(health.note)}};
    out["metrics"] = metrics_json(host_.metrics());
    return out;
  }

  void add_status(json::object& out) {
    out["session"] = start_.session_id;
    out["pid"] = static_cast<std::int64_t>(getpid());
    out["layers"] = layers_json(start_.report);
    out["state"] = hub_ ? json::value(name(hub_->state())) : json::value(nullptr);
    out["detail"] = hub_ ? hub_->detail() : std::string();
    out["exit_status"] = nullptr;
    json::array attachments;
    if (hub_) {
      if (hub_->exit_status()) out["exit_status"] = *hub_->exit_status();
      for (const Attachment* each : hub_->attachments()) {
        attachments.push_back({{"attach_id", each->request().attach_id},
                               {"mode", name(each->request().mode)},
                               {"user_id", each->request().user_id},
                               {"user_name", each->request().user_name},
                               {"since", each->since()}});
      }
      const HubCounters& counters = hub_->counters();
      out["counters"] = {{"refused_input", counters.refused_input},
                         {"dropped_frames", counters.dropped_frames},
                         {"resyncs", counters.resyncs},
                         {"protocol_errors", counters.protocol_errors},
                         {"throttled", counters.throttled}};
    }
    out["attachments"] = std::move(attachments);
  }

  // ---- the plugin's news ----
  // The plugin's sentence, and which address did not answer and why: only the agent knows that.
  std::string reason(rap_result result, const std::string& detail) const {
    if (result == RAP_OK) return detail;
    std::string out = detail.empty() ? result_name(result) : detail;
    if (!host_.stream_failure().empty()) out += " (" + host_.stream_failure() + ")";
    return out;
  }

  void on_opened(rap_result result, const std::string& detail) {
    if (!hub_ || hub_->state() != SessionState::opening) return;
    hub_->opened(result, reason(result, detail));
    if (result != RAP_OK) remote_.close(result);
  }

  void on_remote_closed(rap_result result, const std::string& detail) {
    if (!hub_ || hub_->over()) return;
    hub_->remote_closed(result, reason(result, detail));
    remote_.close(result);
  }

  // ---- HubListener ----
  void on_state(SessionState state, const std::string& detail,
                std::optional<std::int64_t> exit_status) override {
    json::object event = {{"op", "state"},          {"session", start_.session_id},
                          {"state", name(state)},   {"detail", detail},
                          {"exit_status", nullptr}, {"at", now_text()}};
    if (exit_status) event["exit_status"] = *exit_status;
    server_.send_event(std::move(event));
    if (state != SessionState::closed && state != SessionState::failed) return;
    loop_.timer(kDrainLimit, 0ms, [this] { loop_.stop(); });
  }

  void on_person(const PersonEvent& person) override {
    json::object event = {{"op", "event"},
                          {"session", start_.session_id},
                          {"kind", person.kind},
                          {"attach_id", person.attach_id},
                          {"previous_attach_id", nullptr},
                          {"at", now_text()}};
    if (!person.previous_attach_id.empty()) event["previous_attach_id"] = person.previous_attach_id;
    server_.send_event(std::move(event));
  }

  void on_drained() override {
    const auto until = Loop::Clock::now() + kAckLimit;
    loop_.timer(0ms, kAckPoll, [this, until] {
      if (server_.all_acknowledged() || Loop::Clock::now() >= until) loop_.stop();
    });
  }

  // ---- AgentLink ----
  void call(json::object body, std::vector<Fd> fds, std::chrono::milliseconds timeout,
            std::function<void(Result<ipc::Message>)> done) override {
    body["session"] = start_.session_id;
    server_.call(std::move(body), std::move(fds), timeout, std::move(done));
  }
  void note(const json::object& body) override { server_.send_note(body); }

  void watch_signals() {
    // Not SIGALRM, which is the watchdog's.
    signals_ = signal_descriptor({SIGTERM, SIGINT, SIGHUP});
    (void)loop_
        .watch(signals_.get(), kRead,
               [this](std::uint32_t) {
                 signalfd_siginfo info{};
                 if (read(signals_.get(), &info, sizeof info) > 0) end("terminated", "the node");
               })
        .has_value();
  }

  static std::uint32_t size_of(const json::object& body, const char* key, std::uint32_t otherwise) {
    const auto value = json_int_or_none(body, key);
    if (!value || *value < 1 || *value > frames::kSizeMax) return otherwise;
    return static_cast<std::uint32_t>(*value);
  }

  SessionStart start_;
  Loop loop_;
  Watchdog watchdog_;
  Fd signals_;
  ipc::IpcServer server_;
  PluginHost host_;
  AdapterSession remote_;
  std::optional<Hub> hub_;
  std::optional<Error> start_error_;
};

}  // namespace

int run_session(SessionStart start) {
  SessionWorker worker(std::move(start));
  return worker.run();
}

}  // namespace rap::worker
