#include "host/agent/supervise/mesh_listener.hpp"

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/log.hpp"
#include "base/net/timer.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;
using std::chrono::steady_clock;

constexpr char kName[] = "listener";
constexpr net::milliseconds kHelloTimeout{10'000};
constexpr net::milliseconds kCallTimeout{10'000};
constexpr net::milliseconds kTermGrace{5'000};  // it drains its streams
constexpr int kReconnectTries = 5;

}  // namespace

MeshListener::MeshListener(Context& context, LogCapture& logs, OnStream on_stream,
                           std::function<void()> changed)
    : context_(context),
      logs_(logs),
      on_stream_(std::move(on_stream)),
      changed_(std::move(changed)),
      policy_(RestartLimits{.restarts_max = context.config.restarts_max,
                            .window = context.config.restart_window}),
      wake_(context.executor) {}

MeshListener::~MeshListener() = default;

void MeshListener::set(WorkloadState state, std::string detail) {
  if (state == state_ && detail == detail_) return;
  state_ = state;
  detail_ = std::move(detail);
  log::write(state == WorkloadState::failed ? log::Level::error : log::Level::info,
             "listener state",
             {{"state", name(state_)}, {"detail", detail_}, {"endpoint", endpoint_}});
  if (changed_) changed_();
}

Status MeshListener::adopt(InstanceRecord record) {
  auto process = Process::adopted(context_, std::move(record),
                                  [this](ipc::Message message) { on_message(std::move(message)); });
  if (!process) return fail(std::move(process.error()));
  logs_.reopen({kName, "mesh-listener", ""});
  process_ = std::move(*process);
  return {};
}

void MeshListener::start() {
  context_.tasks.spawn("listener", run(shared_from_this()));
}

void MeshListener::configure(ListenerSettings settings) {
  settings_ = std::move(settings);
  policy_.changed();
  wake_.set();
  if (process_ != nullptr && process_->connected()) {
    context_.tasks.spawn("listener settings", reconfigure(shared_from_this()));
  }
}

net::Task<void> MeshListener::reconfigure(std::shared_ptr<MeshListener> self) {
  Status sent = co_await self->send_configuration();
  if (sent) {
    self->set(WorkloadState::running, "");
  } else if (!self->stopping_) {
    self->set(WorkloadState::degraded, sent.error().detail);
  }
}

net::Task<void> MeshListener::run(std::shared_ptr<MeshListener> self) {
  MeshListener& m = *self;
  while (!m.stopping_) {
    if (!m.settings_) {  // nothing to listen with before the first snapshot
      co_await m.wake_.wait();
      m.wake_.reset();
      continue;
    }
    Status up = co_await m.bring_up();
    if (up) {
      m.set(WorkloadState::running, "");
      co_await m.serve();
    }
    if (m.stopping_) break;
    std::string reason = up ? "" : up.error().detail;
    m.endpoint_.clear();
    if (m.process_ != nullptr) {
      const bool ended = co_await m.process_->ends_soon();
      if (ended) {
        reason = "the listener " + m.process_->exit_info().text() +
                 (reason.empty() ? "" : " (" + reason + ")");
      } else {
        co_await m.process_->terminate(kTermGrace);
      }
      m.process_.reset();
    }
    if (m.stopping_) break;
    m.wake_.reset();
    const auto wait = m.policy_.ended(steady_clock::now(), random_number());
    if (wait) {
      m.set(WorkloadState::starting, reason + "; starting again");
      co_await m.wake_.wait_for(*wait);
    } else {
      // Without it the node serves nobody: slow tries go on.
      m.set(WorkloadState::failed, reason + "; next try in a minute");
      co_await m.wake_.wait_for(net::milliseconds(60'000));
      m.policy_.changed();
    }
  }
  m.set(WorkloadState::stopped, "");
}

net::Task<Status> MeshListener::bring_up() {
  if (process_ == nullptr) {
    InstanceRecord record;
    record.name = kName;
    record.kind = InstanceKind::listener;
    record.nonce = new_nonce();
    record.product = "mesh-listener";
    process_ = std::make_unique<Process>(context_, std::move(record), [this](ipc::Message message) {
      on_message(std::move(message));
    });
    std::vector<std::pair<int, int>> none;
    Status started = process_->start(logs_, context_.config.listener_path, std::move(none));
    if (!started) {
      process_.reset();
      co_return started;
    }
  }
  policy_.started(steady_clock::now());
  auto hello = co_await process_->connect(kHelloTimeout);
  if (!hello) co_return fail(hello.error(), "the listener does not answer");
  co_return co_await send_configuration();
}

net::Task<Status> MeshListener::send_configuration() {
  json::array keys;
  for (const LeaseKey& key : settings_->lease_keys) {
    keys.push_back(json::object{{"kid", key.kid}, {"public", key.public_hex}});
  }
  json::object body{
      {"op", "configure"},
      {"listen", context_.config.mesh_listen},
      {"certificate_pem", settings_->identity.certificate_pem},
      {"key_pem", settings_->identity.key_pem},
      {"cluster_ca_pem", settings_->cluster_ca_pem},
      {"audience", "spiffe://" + settings_->cluster_id + "/node/" + settings_->node_id},
      {"issuer", settings_->cluster_id},
      {"lease_keys", std::move(keys)}};
  if (process_ == nullptr) co_return fail(Errc::unavailable, "the listener is not running");
  std::vector<Fd> none;
  auto answer = co_await process_->call(body, std::move(none), kCallTimeout);
  if (!answer) co_return fail(answer.error(), "listener");
  std::string endpoint = json_string_or_none(*answer->body, "endpoint").value_or("");
  const bool other = endpoint != endpoint_;
  endpoint_ = std::move(endpoint);
  if (other && changed_) changed_();
  co_return Status();
}

net::Task<void> MeshListener::serve() {
  int failures = 0;
  while (!stopping_ && process_->running() && failures < kReconnectTries) {
    co_await process_->disconnected().wait();
    const bool ended = co_await process_->ends_soon();
    if (ended || stopping_) co_return;
    // Alive and not connected: its socket is still there.
    Status back = co_await bring_up();
    if (back) {
      failures = 0;
      continue;
    }
    ++failures;
    co_await process_->exited().wait_for(net::milliseconds(500));
  }
}

void MeshListener::on_message(ipc::Message message) {
  if (message.op == "stream" && message.id && message.fds.size() == 1) {
    ipc::JsonPtr claims(message.body, nullptr);
    const json::value* value = message.body->if_contains("claims");
    if (value != nullptr && value->is_object()) {
      claims = ipc::JsonPtr(message.body, &value->get_object());
      const auto from = json_string_or_none(*message.body, "from").value_or("");
      on_stream_(*message.id, std::move(claims), from, std::move(message.fds.front()));
      return;
    }
    refuse(*message.id, Error{Errc::malformed, "stream without claims"});
    return;
  }
  if (message.id) refuse(*message.id, Error{Errc::unsupported, message.op});
}

void MeshListener::accept(std::int64_t id) {
  if (process_ != nullptr) process_->answer(id, json::object{});
}

void MeshListener::refuse(std::int64_t id, const Error& error) {
  if (process_ != nullptr) process_->refuse(id, error);
}

net::Task<Result<Fd>> MeshListener::dial(const std::string& organization, const std::string& host,
                                         std::uint16_t port, net::milliseconds limit) {
  if (process_ == nullptr) co_return fail(Errc::unavailable, "the listener is not running");
  json::object body{{"op", "dial"},
                    {"host", host},
                    {"port", port},
                    {"timeout_ms", limit.count()},
                    {"organization", organization}};
  std::vector<Fd> none;
  // A little more than the listener's own limit, so that its reason arrives.
  auto answer = co_await process_->call(body, std::move(none), limit + net::milliseconds(2'000));
  if (!answer) co_return fail(std::move(answer.error()));
  if (answer->fds.size() != 1) co_return fail(Errc::malformed, "dial: no descriptor");
  co_return std::move(answer->fds.front());
}

net::Task<Result<ipc::Message>> MeshListener::status() {
  if (process_ == nullptr) co_return fail(Errc::unavailable, "the listener is not running");
  json::object body{{"op", "status"}};
  std::vector<Fd> none;
  co_return co_await process_->call(body, std::move(none), kCallTimeout);
}

net::Task<void> MeshListener::stop() {
  const auto self = shared_from_this();
  stopping_ = true;
  wake_.set();
  if (process_ != nullptr && process_->running()) co_await process_->terminate(kTermGrace);
}

}  // namespace rap::agent
